"""The page's way to Live over HTTP: a PNG without a key, in one answer, and a refusal that says why."""

from __future__ import annotations

import io
import time

import httpx
from PIL import Image

from app.live import LIMIT_SECONDS
from tests.app.serving import Served


def test_a_page_gets_its_sketch_and_no_history(served: Served):
    with httpx.Client(base_url=served.url, timeout=60) as page:
        for _ in range(60):  # the first ones may take longer than Live allows, and others' jobs go first
            answer = page.post("/live", json={"page": "a", "settings": {"prompt": "a tree", "seed": 3}})
            if answer.status_code == 200:
                break
            assert answer.json()["reason"] in ("live_slow", "live_busy")
            time.sleep(0.5)
            page.get("/live")
        assert answer.headers["content-type"] == "image/png"
        assert Image.open(io.BytesIO(answer.content)).size == (32, 32)
        assert 0 <= float(answer.headers["x-seconds"]) <= 2 * LIMIT_SECONDS + 1
        refused = page.post("/live", json={"page": "a", "settings": {"prompt": "a", "seed": -4}})
        assert refused.status_code == 400


def test_nothing_of_it_is_in_the_api(served: Served):
    assert "/live" not in httpx.get(f"{served.url}/openapi.json").json()["paths"]
