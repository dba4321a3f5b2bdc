"""The program as it is started: at once on the page, ready later, off the network, gone when asked."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from app.metadata import read_png
from tests.app.serving import Served, serve
from tests.app.test_shutdown import check_end
from tests.tiny import tiny_checkpoint

# Blocks every connection that is not to this machine, and says so in a file, in the server's own process.
OFFLINE = """
import os, socket
real_connect, real_resolve = socket.socket.connect, socket.getaddrinfo

def note(where):
    with open(os.environ["CALLS"], "a") as f:
        f.write(f"{where}\\n")
    raise OSError(f"no network in this test: {where}")

def connect(self, address):
    if self.family != socket.AF_UNIX and address[0] not in ("127.0.0.1", "::1", "localhost"):
        note(address)
    return real_connect(self, address)

def resolve(host, *rest, **named):
    if host not in (None, "", "127.0.0.1", "::1", "localhost", b"127.0.0.1", "0.0.0.0"):
        note(host)
    return real_resolve(host, *rest, **named)

socket.socket.connect = socket.socket.connect_ex = connect
socket.getaddrinfo = resolve
"""


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_checkpoint(tmp_path_factory.mktemp("weights"))


@pytest.fixture(scope="module")
def served(weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("offline")
    (folder / "sitecustomize.py").write_text(OFFLINE)
    calls = folder / "calls.txt"
    calls.touch()
    env = {"PYTHONPATH": str(folder), "CALLS": str(calls), "HF_HUB_OFFLINE": "", "GRADIO_ANALYTICS_ENABLED": ""}
    with serve(folder, "--weights", str(weights), env={**env, "TMPDIR": str(folder)}) as server:
        yield server


def cpu_seconds(pid: int) -> float:
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def test_the_page_answers_before_torch(served: Served) -> None:
    """Within 3 s; on a machine that is busy with other things, 3 s of this process's own work."""
    start = time.monotonic()
    html = served.wait("/")
    took = min(time.monotonic() - start, cpu_seconds(served.process.pid))
    assert "The model is loading: starting" in html or "The model is loading: importing torch" in html
    assert took < 3.0
    assert served.get("/healthz")[0] == 200
    status, body = served.get("/readyz")
    assert status == 503
    assert json.loads(body)["status"] in ("starting", "loading")


def test_a_client_gets_a_picture_without_any_network(served: Served) -> None:
    from gradio_client import Client

    served.wait("/readyz")
    served.wait_for_page()
    client = Client(served.url, verbose=False)
    asked = {"prompt": "a red apple", "steps": 3, "eta": 0.5, "guidance_scale": 2.0, "seed": 11}
    (first, info), (again, _) = (client.predict(**asked, api_name="/generate") for _ in range(2))
    assert Path(first).read_bytes() == Path(again).read_bytes()
    made, about = read_png(Path(first))
    assert (made.prompt, made.steps, made.eta, made.seed) == ("a red apple", 3, 0.5, 11)
    assert made.to_dict() == info["request"]
    assert len(about["weights_sha256"]) == 64
    with Image.open(first) as image:
        assert image.size == (info["width"], info["height"])
    assert list(client.view_api(return_format="dict")["named_endpoints"]) == ["/generate"]
    with pytest.raises(Exception, match="Steps must be at least 1"):
        client.predict(**{**asked, "steps": 0}, api_name="/generate")
    assert (served.log.parent / "calls.txt").read_text() == ""


def test_an_open_page_does_not_hold_the_program(served: Served) -> None:
    """Ctrl-C ends it while a page listens and pictures are made, and the temporary ones go too."""
    served.wait_for_page()
    assert list(served.log.parent.glob("latent-lab.*"))
    check_end(served, signal.SIGINT)
    assert not list(served.log.parent.glob("latent-lab.*"))
