"""The real program in a process of its own, on a free port, with small random weights."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp

from app.starting import BROKEN

ROOT = Path(__file__).resolve().parents[2]


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


def until(condition: Callable[[], object], seconds: float = 60) -> None:
    """Wait until this holds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"not within {seconds} s"
        time.sleep(0.005)


@contextlib.contextmanager
def in_thread(app: ASGIApp) -> Iterator[int]:
    """An app served from a thread of this process, where a TestClient would hide the connection; the port."""
    config = uvicorn.Config(app, port=free_port(), log_level="warning", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        until(lambda: server.started)
        yield config.port
    finally:
        server.should_exit = True
        thread.join(10)


@dataclass(frozen=True)
class Served:
    """A started server."""

    process: subprocess.Popen[bytes]
    url: str
    log: Path

    def get(self, path: str) -> tuple[int, str]:
        """Status and body; (0, "") while nothing answers."""
        try:
            with urllib.request.urlopen(self.url + path, timeout=30) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def wait(self, path: str, status: int = 200, seconds: float = 600) -> str:
        """Ask until the status is as wanted; the body."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            assert self.process.poll() is None, f"the server ended:\n{self.log.read_text()}"
            code, body = self.get(path)
            if code == status:
                return body
            time.sleep(0.05)
        raise AssertionError(f"{path} did not answer {status} in {seconds} s:\n{self.log.read_text()}")

    def wait_for_model(self, seconds: float = 600) -> None:
        """Until pictures can be asked for by HTTP, seconds before the page is there too."""
        end = time.monotonic() + seconds
        while json.loads(self.get("/readyz")[1] or "{}").get("progress") != 1.0:
            assert self.process.poll() is None, f"the server ended:\n{self.log.read_text()}"
            assert time.monotonic() < end, f"no model in {seconds} s:\n{self.log.read_text()}"
            time.sleep(0.05)

    def wait_for_page(self, seconds: float = 600) -> None:
        """Until the page itself answers, and not what stands in for it."""
        end = time.monotonic() + seconds
        while "gradio" not in (html := self.get("/")[1]):
            assert escape(BROKEN) not in html, f"the page is broken:\n{self.log.read_text()}"
            assert time.monotonic() < end, f"no page in {seconds} s:\n{self.log.read_text()}"
            time.sleep(0.2)


@contextlib.contextmanager
def serve(
    folder: Path,
    *options: str,
    env: dict[str, str] | None = None,
    port: int | None = None,
    program: Sequence[str] = ("demo/sd_demo/app.py",),
) -> Iterator[Served]:
    """Python's `program` with these options, on a free port where none is given, ended with the context."""
    port, log = port or free_port(), folder / "server.log"
    command = [sys.executable, *program, "--port", str(port), *options]
    with log.open("wb") as out:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            stdout=out,
            stderr=subprocess.STDOUT,
            env={**os.environ, "LATENT_LAB_DATA_DIR": "", **(env or {})},  # a test's server keeps nothing unasked
        )
    try:
        yield Served(process, f"http://127.0.0.1:{port}", log)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
