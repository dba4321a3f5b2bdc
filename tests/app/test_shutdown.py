"""SIGTERM and Ctrl-C with a job running, one waiting and pages listening: within 5 s, answered, without a traceback."""

from __future__ import annotations

import signal
import threading
import time
from pathlib import Path

import httpx
import pytest

from app.history import History
from app.settings import Settings
from tests.app.serving import Served, serve
from tests.tiny import tiny_checkpoint

STEPS = 1000


def check_end(server: Served, sent: signal.Signals) -> None:
    """End a server in whose line nobody is, as `sent` does."""
    heard: dict[str, str] = {}

    def listen(name: str, path: str) -> None:
        with httpx.stream("GET", f"{server.url}/gradio_api/{path}", timeout=60) as stream:
            for text in stream.iter_text():
                heard[name] = heard.get(name, "") + text

    listeners = [threading.Thread(target=listen, args=("page", "heartbeat/somebody"))]
    for name in ("running", "waiting"):
        asked = {"data": [name, "", STEPS, 0, 5, "ddim", 7, None, None]}
        call = httpx.post(f"{server.url}/gradio_api/call/generate", json=asked).json()["event_id"]
        listeners.append(threading.Thread(target=listen, args=(name, f"call/generate/{call}")))
    for listener in listeners:
        listener.start()
    end = time.monotonic() + 60
    while "page" not in heard or len(httpx.get(f"{server.url}/v1/jobs").json()) < 2:
        assert time.monotonic() < end
        time.sleep(0.05)
    start = time.monotonic()
    server.process.send_signal(sent)
    server.process.wait(timeout=30)
    took = time.monotonic() - start
    for listener in listeners:
        listener.join(10)
    log = server.log.read_text()
    assert "Traceback" not in log and "Error" not in log, log
    assert took < 5
    for name in ("running", "waiting"):
        assert "event: error" in heard[name] and "The server is ending" in heard[name]


@pytest.mark.slow  # test_start.py shows the same of SIGINT
def test_whoever_waits_is_answered_and_the_program_ends(tmp_path: Path):
    """By SIGTERM."""
    with serve(tmp_path, "--weights", str(tiny_checkpoint(tmp_path)), "--max-side", "64") as server:
        server.wait("/readyz")
        check_end(server, signal.SIGTERM)


LOSES = """
from app.engine.model import PipelineModel
from app.server import main

def answer(self, rows):
    raise RuntimeError("CUDA error: an illegal memory access was encountered")

PipelineModel.answer, PipelineModel.is_lost = answer, lambda self, error: True
main()
"""


def test_a_lost_gpu_ends_the_program_and_keeps_its_jobs(tmp_path: Path):
    """With a status that a restart policy heeds; the run counts, for the job itself may be the cause."""
    weights, data = tiny_checkpoint(tmp_path), tmp_path / "data"
    options = ("--weights", str(weights), "--max-side", "64", "--device", "cpu", "--data-dir", str(data))
    with serve(tmp_path, *options, program=("-c", LOSES)) as server:
        server.wait("/readyz")
        job = httpx.post(f"{server.url}/v1/jobs", json={"prompt": "a red apple"}).json()["id"]
        assert server.process.wait(timeout=15) == 1
        assert "the device is lost" in server.log.read_text()
    history = History(data, Settings())
    try:
        assert history._db.read("SELECT id, state, tries FROM jobs") == [(job, "accepted", 1)]
    finally:
        history.close()
