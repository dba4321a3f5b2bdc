"""One client's crowd of long jobs hardly holds up another's short one."""

from __future__ import annotations

import time
from statistics import median

import httpx
import pytest

from tests.app.serving import Served
from tests.clients.conftest import KEY

CROWD, LONG, SHORT = 30, 500, 25  # jobs; steps of each, and of the other client's picture
pytestmark = pytest.mark.slow


def client(url: str, key: str) -> httpx.Client:
    return httpx.Client(base_url=url, headers={"Authorization": f"Bearer {key}"}, timeout=120)


def seconds(http: httpx.Client) -> float:
    """The median time of a short job."""
    taken = []
    for seed in range(5):
        start = time.monotonic()
        body = {"prompt": "a dog", "num_inference_steps": SHORT, "seed": seed}
        assert http.post("/v1/images/generations", json=body).status_code == 200
        taken.append(time.monotonic() - start)
    return median(taken)


def test_a_short_job_beside_thirty_long_ones_of_another(served: Served):
    one, crowd = client(served.url, KEY), client(served.url, f"{KEY}-2")
    seconds(one)
    idle = seconds(one)
    jobs = [crowd.post("/v1/jobs", json={"prompt": f"a cat {k}", "steps": LONG}) for k in range(CROWD)]
    try:
        assert [job.status_code for job in jobs] == [202] * CROWD, "all are accepted"
        beside = seconds(one)
        left = [crowd.get(f"/v1/jobs/{job.json()['id']}").json()["status"] for job in jobs]
        assert "running" in left and "queued" in left, "the crowd is still there"
    finally:
        for job in jobs:
            crowd.delete(f"/v1/jobs/{job.json()['id']}")
    assert beside <= 2 * idle, f"{idle:.2f} s alone, {beside:.2f} s beside"
