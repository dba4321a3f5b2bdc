"""The server ends in the middle, by kill -9 and by SIGTERM: what was accepted runs again with its seed, and is there
once.
"""

from __future__ import annotations

import signal
import threading
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.client import Client, JobEvent
from tests.app.serving import Served, free_port, serve
from tests.tiny import tiny_checkpoint

ENV = {"OMP_NUM_THREADS": "1"}
FIRST: dict[str, Any] = {"json": {"prompt": "first", "steps": 1, "seed": 3}, "headers": {"Idempotency-Key": "first"}}
LONG = {"steps": 100, "batch": 2}
MODELS = ("", "other", "", "", "other")


class Following(threading.Thread):
    """Our own client, which follows a job to its end, whatever becomes of the server."""

    def __init__(self, url: str, job: str) -> None:
        super().__init__(daemon=True)
        self._client, self._job = Client(url), job
        self.events: list[JobEvent] = []
        self.start()

    def run(self) -> None:
        for event in self._client.events(self._job):
            self.events.append(event)

    def wait_for_starts(self, starts: int, seconds: float = 120) -> None:
        end = time.monotonic() + seconds
        while [event.name for event in self.events].count("started") < starts:
            assert self.is_alive() and time.monotonic() < end, self.events
            time.sleep(0.02)


def connect(served: Served) -> httpx.Client:
    return httpx.Client(base_url=served.url, timeout=120)


def wait_for_ends(client: httpx.Client, jobs: list[str], seconds: float = 120) -> list[dict[str, Any]]:
    end = time.monotonic() + seconds
    while True:
        states = [client.get(f"/v1/jobs/{job}").json() for job in jobs]
        if not any(state["status"] in ("queued", "running") for state in states):
            return states
        assert time.monotonic() < end, states
        time.sleep(0.1)


@pytest.mark.slow
def test_accepted_jobs_outlive_the_process(tmp_path: Path) -> None:
    """SIGTERM under open streams, then kill -9: were the orderly end counted as a run, the second would be the last."""
    models, port = tmp_path / "models", free_port()
    models.mkdir()
    tiny_checkpoint(models, seed=1, name="other.safetensors")
    options = ("--weights", str(tiny_checkpoint(tmp_path)), "--device", "cpu", "--data-dir", str(tmp_path / "data"))
    options = (*options, "--models", str(models), "--runtime", "torch")

    with serve(tmp_path, *options, env=ENV, port=port) as served:
        served.wait_for_model()
        client = connect(served)
        finished = client.post("/v1/jobs", **FIRST).json()["id"]
        wait_for_ends(client, [finished])
        while "other" not in client.get("/v1/capabilities").json()["models"]:
            time.sleep(0.05)
        wanted = [{**LONG, "prompt": f"{k}", "seed": 10 * k, "model": model} for k, model in enumerate(MODELS)]
        own, other, third, *unwanted = [client.post("/v1/jobs", json=body).json()["id"] for body in wanted]
        following = Following(served.url, own)
        with client.stream("GET", f"/v1/jobs/{own}/events") as stream:
            lines = stream.iter_lines()
            while next(lines) != "event: step":
                pass
            served.process.send_signal(signal.SIGTERM)
            told = {line for line in lines if line.startswith("event: ")}
        assert told <= {"event: step"}, "the next process tells the end"
        served.process.wait(10)

    with serve(tmp_path, *options, env=ENV, port=port) as served:
        served.wait("/healthz")
        client = connect(served)
        assert served.get("/readyz")[0] == 503
        assert {job["id"] for job in client.get("/v1/jobs").json()} == {own, other, third, *unwanted}
        for job in unwanted:  # no model is in memory yet
            assert client.delete(f"/v1/jobs/{job}").json()["status"] == "cancelled"
        following.wait_for_starts(2)  # by itself
        served.process.send_signal(signal.SIGKILL)
        served.process.wait()

    with serve(tmp_path, *options, env=ENV, port=port) as served:
        served.wait("/healthz")
        client = connect(served)
        for job in (own, other, third):
            text = client.get(f"/v1/jobs/{job}/events", headers={"Last-Event-ID": "999"}).text
            assert text.startswith("id: 1\r\nevent: queued") and "event: done" in text
        following.join(20)
        assert not following.is_alive() and [event.name for event in following.events].count("done") == 1
        assert client.post("/v1/jobs", **FIRST).json()["id"] == finished  # the key is remembered
        states = wait_for_ends(client, [finished, own, other, third])
        seeds = [[image["seed"] for image in state["images"]] for state in states]
        assert seeds == [[3], [0, 1], [10, 11], [20, 21]]
        ends = {own: "done", other: "done", third: "done", finished: "done", **dict.fromkeys(unwanted, "cancelled")}
        for job, end in ends.items():  # some of them in an earlier process
            assert client.get(f"/v1/jobs/{job}").json()["status"] == end
            assert f"event: {end}" in client.get(f"/v1/jobs/{job}/events").text
            assert client.delete(f"/v1/jobs/{job}").json()["status"] == end
        assert client.get("/v1/jobs").json() == []
        history = client.get("/v1/history").json()
        assert len(history) == len({entry["name"] for entry in history}) == 7
        assert httpx.get(history[-1]["url"]).status_code == 200
        name = history[0]["name"]
        assert client.patch(f"/v1/history/{name}", json={"favourite": True}).json() == {"favourite": True}
        assert client.get("/v1/history", params={"q": "first"}).json()[0]["seed"] == 3
        assert client.delete(f"/v1/history/{name}").status_code == 204
