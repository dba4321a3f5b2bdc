"""SIGTERM and Ctrl-C with a job running, one waiting and pages listening: within 5 s, answered, without a traceback."""

from __future__ import annotations

import signal
import threading
import time
from pathlib import Path

import httpx
import pytest

from tests.app.serving import serve
from tests.tiny import tiny_checkpoint


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
def test_whoever_waits_is_answered_and_the_program_ends(tmp_path: Path, sent: signal.Signals):
    with serve(tmp_path, "--weights", str(tiny_checkpoint(tmp_path)), "--max-side", "64") as server:
        server.wait("/readyz")
        heard: dict[str, str] = {}

        def listen(name: str, path: str) -> None:
            with httpx.stream("GET", f"{server.url}/gradio_api/{path}", timeout=60) as stream:
                heard[name] = "".join(stream.iter_text())

        listeners = [threading.Thread(target=listen, args=("page", "heartbeat/somebody"))]
        for name in ("running", "waiting"):
            asked = {"data": [name, "", 1000, 0, 5, "ddim", 7, None, None]}
            call = httpx.post(f"{server.url}/gradio_api/call/generate", json=asked).json()["event_id"]
            listeners.append(threading.Thread(target=listen, args=(name, f"call/generate/{call}")))
        for listener in listeners:
            listener.start()
        time.sleep(2)
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
    assert "page" in heard
