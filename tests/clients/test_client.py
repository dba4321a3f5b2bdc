"""Our own client, as a command and as a class."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from email.message import Message
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar, Self

import pytest
from PIL import Image

from app.client import CellOutput, Client, NoAnswer, ServerError, main
from app.metadata import read_png
from tests.app.serving import ROOT, Served, free_port
from tests.clients.conftest import KEY


def test_the_command_writes_pictures(served: Served, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["a red apple", "--server", served.url, "--key", KEY, "--out", str(tmp_path), "--steps", "2"]
    assert main([*options, "--batch", "2", "--seed", "5", "--json"]) == 0
    made = json.loads(capsys.readouterr().out)["images"]
    assert [image["seed"] for image in made] == [5, 6]
    assert read_png(Path(made[1]["path"]))[0].seed == 6
    assert main([*options, "--sampler", "none"]) == 1
    assert "ampler" in capsys.readouterr().err
    assert main(["a", "--server", "http://127.0.0.1:9", "--key", "x"]) == 1
    assert "does not answer" in capsys.readouterr().err


def test_ctrl_c_cancels_on_the_server(served: Served) -> None:
    command = [sys.executable, "-m", "app.client", "slow", "--server", served.url, "--steps", "1000"]
    env = {**os.environ, "LATENT_LAB_KEY": f"{KEY}-2"}
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env=env,
        stderr=subprocess.DEVNULL,  # a pipe nobody reads fills up
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # ignored where a shell runs this behind it
    )
    client = Client(served.url, f"{KEY}-2")

    def running() -> list[object]:
        return client._json("GET", "/v1/jobs")  # type: ignore[return-value]

    end = time.monotonic() + 60
    while not running():
        assert time.monotonic() < end and process.poll() is None
        time.sleep(0.1)
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=30) == 130
    while running():
        assert time.monotonic() < end
        time.sleep(0.1)


@pytest.mark.parametrize("told", ["http://inside/lab/v1/files/a.png?form=", "http://inside/v1/files/a.png?form="])
def test_a_prefix_stands_once_in_an_address(told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def answer(request: urllib.request.Request, timeout: float) -> io.BytesIO:
        asked.append(request.full_url)
        return io.BytesIO()

    monkeypatch.setattr("urllib.request.urlopen", answer)
    Client("http://lab.example.org/lab/").picture(told)
    assert asked == ["http://lab.example.org/lab/v1/files/a.png?form="]


def test_a_proxy_whose_server_is_being_started_again_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = [502, 503, 504, 401]

    def refuse(request: urllib.request.Request, timeout: float) -> None:
        raise urllib.error.HTTPError(request.full_url, answers.pop(0), "", Message(), io.BytesIO())

    monkeypatch.setattr("urllib.request.urlopen", refuse)
    monkeypatch.setattr("app.client.RETRY_SECONDS", 0.01)
    with pytest.raises(ServerError):
        next(Client("http://lab.example.org").events("a"))
    assert answers == [], "asked again after each of a proxy's, and not after a refusal"


def test_the_class_in_a_notebook(served: Served, tmp_path: Path) -> None:
    [picture] = Client(served.url, KEY).generate("a", steps=2, seed=1)
    (tmp_path / "a.png").write_bytes(picture)
    assert Image.open(tmp_path / "a.png").size == (32, 32) and picture._repr_png_() == picture
    assert repr([picture]) == f"[<PNG of {len(picture)} bytes>]"
    with pytest.raises(ServerError, match="needs a key"):
        Client(served.url, "wrong").generate("a")
    with pytest.raises(ServerError, match="no http address"):
        Client("file:///etc").generate("a")


class Cut(BaseHTTPRequestHandler):
    """Answers with one event and ends the connection, whatever is asked for."""

    asked: ClassVar[list[str | None]] = []
    EVENTS = ("started", "step", "done")

    def do_GET(self) -> None:
        self.asked.append(self.headers["Last-Event-ID"])
        self.send_response(200)
        self.end_headers()
        name = self.EVENTS[len(self.asked) - 1]
        self.wfile.write(f"id: {len(self.asked)}\r\nevent: {name}\r\ndata: {{}}\r\n\r\nid: 9\r\nevent: st".encode())

    def log_message(self, *_: object) -> None: ...


def test_events_go_on_where_the_connection_broke(monkeypatch: pytest.MonkeyPatch) -> None:
    """Within patience; test_restart.py has a real server go away."""
    monkeypatch.setattr("app.client.RETRY_SECONDS", 0.01)
    with HTTPServer(("127.0.0.1", 0), Cut) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        client = Client(f"http://127.0.0.1:{server.server_port}")
        assert [event.name for event in client.events("a")] == list(Cut.EVENTS)
        assert Cut.asked == ["", "1", "2"], "an event that was cut is none"
        server.shutdown()
    monkeypatch.setattr("app.client.PATIENCE_SECONDS", 0.1)
    with pytest.raises(NoAnswer, match="does not answer"):
        next(Client(f"http://127.0.0.1:{free_port()}").events("a"))


class Torn(BaseHTTPRequestHandler):
    """Promises ten bytes; sends half of them to the first `times` requests."""

    times = 0

    def do_GET(self) -> None:
        type(self).times -= 1
        self.send_response(200)
        self.send_header("Content-Length", "10")
        self.end_headers()
        self.wfile.write(b"x" * (5 if self.times >= 0 else 10))

    do_POST = do_GET

    def log_message(self, *_: object) -> None: ...


def test_an_answer_that_is_cut_is_a_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A picture is asked for again; a new job is not, since nobody knows whether it was accepted."""
    monkeypatch.setattr("app.client.RETRY_SECONDS", 0.01)
    with HTTPServer(("127.0.0.1", 0), Torn) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        Torn.times = 2
        assert Client(url).picture("/v1/files/a.png?form=") == b"x" * 10
        Torn.times = 1
        assert main(["a", "--server", url]) == 1
        assert capsys.readouterr().err == "The server has ended the connection.\n"
        monkeypatch.setattr("app.client.PATIENCE_SECONDS", 0.1)
        Torn.times = 1000
        with pytest.raises(NoAnswer, match="ended the connection"):
            Client(url).picture("/v1/files/a.png?form=")
        server.shutdown()


class Display:
    """IPython as far as the client uses it."""

    def __init__(self, **shell: object) -> None:
        self.shown: list[object] = []
        self.shell = SimpleNamespace(**shell)

    def get_ipython(self) -> object:
        return self.shell

    def display(self, picture: object, display_id: bool) -> Self:
        self.shown.append(picture)
        return self

    def update(self, picture: object) -> None:
        self.shown[-1] = picture


@pytest.mark.parametrize(("shell", "shown"), [({}, []), ({"kernel": 1}, [b"b"])], ids=["terminal", "notebook"])
def test_previews_show_one_in_place_of_the_other(
    monkeypatch: pytest.MonkeyPatch, shell: dict[str, object], shown: list[bytes]
) -> None:
    notebook = Display(**shell)
    monkeypatch.setitem(sys.modules, "IPython", notebook)
    monkeypatch.setitem(sys.modules, "IPython.display", notebook)
    output = CellOutput()
    output.show(b"a")
    output.show(b"b")
    assert notebook.shown == shown
