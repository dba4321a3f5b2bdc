"""Three minutes of whatever OpenAPI allows, asked of a real server with small weights: no 500, nothing undocumented.

`make test-slow ARGS="-k documented -s"` prints how often each status was answered.
"""

from __future__ import annotations

import itertools
import time
from collections import Counter
from pathlib import Path

import httpx
import pytest
import schemathesis

from tests.app.api.documented import faults
from tests.app.serving import serve
from tests.tiny import tiny_checkpoint

SECONDS = 170.0
LIMITS = ("--max-steps", "2", "--max-side", "64", "--requests-per-minute", "1000000")


@pytest.mark.slow
def test_three_minutes_of_documented_answers(tmp_path: Path) -> None:
    options = ("--weights", str(tiny_checkpoint(tmp_path)), "--device", "cpu", "--data-dir", str(tmp_path / "data"))
    with serve(tmp_path, *options, *LIMITS, env={"OMP_NUM_THREADS": "1"}) as served:
        served.wait("/readyz")
        client, seen, found = httpx.Client(base_url=served.url, timeout=60), Counter[int](), list[str]()

        def owned() -> dict[str, str]:
            job = client.post("/v1/jobs", json={"prompt": "a", "steps": 1}).json()["id"]
            client.get(f"/v1/jobs/{job}/events")
            return {"job_id": job, "name": client.get("/v1/history").json()[0]["name"]}

        schema, end = schemathesis.openapi.from_url(f"{served.url}/openapi.json"), time.monotonic() + SECONDS
        for number in itertools.count(1):
            for fault in faults(schema, number, owned, seen):
                found.append(fault)
            if time.monotonic() > end:
                break
        print(f"{number} rounds: {dict(sorted(seen.items()))}")  # noqa: T201
        assert not found, "\n\n".join(found[:20])
        assert seen[200] > 200 and not seen[500]
        assert "Traceback" not in served.log.read_text()
