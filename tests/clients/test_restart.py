"""kill -9 in the middle: what was finished is there, what was not runs again with its seed, nothing is there twice."""

from __future__ import annotations

import signal
import time
from pathlib import Path
from typing import Any

import httpx

from tests.app.serving import serve
from tests.tiny import tiny_checkpoint

ENV = {"OMP_NUM_THREADS": "1"}
FIRST: dict[str, Any] = {"json": {"prompt": "first", "steps": 1, "seed": 3}, "headers": {"Idempotency-Key": "first"}}


def test_kill_9_loses_no_accepted_job(tmp_path: Path) -> None:
    weights = tiny_checkpoint(tmp_path)
    options = ("--weights", str(weights), "--device", "cpu", "--data-dir", str(tmp_path / "data"))
    with serve(tmp_path, *options, env=ENV) as served:
        served.wait("/readyz")
        client = httpx.Client(base_url=served.url, timeout=60)
        finished = client.post("/v1/jobs", **FIRST).json()["id"]
        while client.get(f"/v1/jobs/{finished}").json()["status"] != "done":
            time.sleep(0.05)
        running = [
            client.post("/v1/jobs", json={"prompt": f"slow {k}", "steps": 60, "seed": 10 * k, "batch": 2}).json()["id"]
            for k in range(3)
        ]
        served.process.send_signal(signal.SIGKILL)
        served.process.wait()
    with serve(tmp_path, *options, env=ENV) as served:
        served.wait("/readyz")
        client = httpx.Client(base_url=served.url, timeout=60)
        end = time.monotonic() + 120
        while any(client.get(f"/v1/jobs/{job}").json()["status"] in ("queued", "running") for job in running):
            assert time.monotonic() < end
            time.sleep(0.1)
        assert client.post("/v1/jobs", **FIRST).json()["id"] == finished  # the key is remembered
        states = [client.get(f"/v1/jobs/{job}").json() for job in (finished, *running)]
        assert [state["status"] for state in states] == ["done"] * 4
        seeds = [[image["seed"] for image in state["images"]] for state in states]
        assert seeds == [[3], [0, 1], [10, 11], [20, 21]]
        history = client.get("/v1/history").json()
        assert len(history) == len({entry["name"] for entry in history}) == 7
        assert httpx.get(history[-1]["url"]).status_code == 200
        second = served.process
        name = history[0]["name"]
        assert client.patch(f"/v1/history/{name}", json={"favourite": True}).json() == {"favourite": True}
        assert client.get("/v1/history", params={"q": "first"}).json()[0]["seed"] == 3
        assert client.delete(f"/v1/history/{name}").status_code == 204
        assert second.poll() is None


def test_an_orderly_end_leaves_jobs_to_the_next_start(tmp_path: Path) -> None:
    """SIGTERM twice, each time in mid-run: the jobs are neither cancelled nor given up."""
    options = ("--weights", str(tiny_checkpoint(tmp_path)), "--device", "cpu", "--data-dir", str(tmp_path / "data"))
    jobs: list[str] = []
    for ended in (False, False, True):
        with serve(tmp_path, *options, "--runtime", "torch", env=ENV) as served:
            served.wait("/readyz")
            client = httpx.Client(base_url=served.url, timeout=60)
            body = {"steps": 150, "batch": 2}
            jobs = jobs or [client.post("/v1/jobs", json={"prompt": f"{k}", **body}).json()["id"] for k in range(3)]
            end = time.monotonic() + 120
            while ended and any(client.get(f"/v1/jobs/{job}").json()["status"] != "done" for job in jobs):
                assert time.monotonic() < end, [client.get(f"/v1/jobs/{job}").json() for job in jobs]
                time.sleep(0.1)
            served.process.send_signal(signal.SIGTERM)
            served.process.wait(10)


def test_a_client_that_comes_back_follows_and_cancels_what_waits_for_its_model(tmp_path: Path) -> None:
    """From the first answer of the next process on, while no model is in memory yet."""
    models = tmp_path / "models"
    models.mkdir()
    tiny_checkpoint(models, seed=1, name="other.safetensors")
    options = ("--weights", str(tiny_checkpoint(tmp_path)), "--device", "cpu", "--data-dir", str(tmp_path / "data"))
    options = (*options, "--models", str(models), "--runtime", "torch")
    wanted = [{"prompt": f"{k}", "steps": 150, "batch": 2, "model": model} for k, model in enumerate(("", "other") * 2)]
    with serve(tmp_path, *options, env=ENV) as served:
        served.wait("/readyz")
        client = httpx.Client(base_url=served.url, timeout=60)
        while "other" not in client.get("/v1/capabilities").json()["models"]:
            time.sleep(0.05)
        own, other, *unwanted = [client.post("/v1/jobs", json=body).json()["id"] for body in wanted]
        served.process.send_signal(signal.SIGTERM)
        served.process.wait(10)
    with serve(tmp_path, *options, env=ENV) as served:
        served.wait("/healthz")
        client = httpx.Client(base_url=served.url, timeout=120)
        assert served.get("/readyz")[0] == 503
        assert {job["id"] for job in client.get("/v1/jobs").json()} == {own, other, *unwanted}
        for job in unwanted:
            assert client.delete(f"/v1/jobs/{job}").json()["status"] == "cancelled"
        for job in (own, other):
            text = client.get(f"/v1/jobs/{job}/events", headers={"Last-Event-ID": "999"}).text
            assert text.startswith("id: 1\r\nevent: queued") and "event: done" in text
        assert [client.get(f"/v1/jobs/{job}").json()["status"] for job in unwanted] == ["cancelled"] * 2
    with serve(tmp_path, *options, env=ENV) as served:
        served.wait("/healthz")
        client = httpx.Client(base_url=served.url, timeout=60)
        ends = {own: "done", other: "done", unwanted[0]: "cancelled"}
        for job, end in ends.items():
            assert f"event: {end}" in client.get(f"/v1/jobs/{job}/events").text
            assert client.delete(f"/v1/jobs/{job}").json()["status"] == end
        assert client.get("/v1/jobs").json() == []
