"""Ready means that a picture can be made and kept: no home, no folder, a full disk, limits that leave nothing."""

from __future__ import annotations

import json
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from fastapi.testclient import TestClient
from gradio_client import Client

from app.api.dependencies import AppState
from app.server import build
from app.settings import Settings
from app.starting import Page
from ldm_core.metadata import write_png
from ldm_core.sampling import SamplingParams
from tests.app.serving import ROOT, serve
from tests.tiny import tiny_checkpoint

# A user without an entry in the system's list and without $HOME, as containers run with --user 12345.
NOBODY = """
import os, pwd

def unknown(uid):
    raise KeyError(f"getpwuid(): uid not found: {uid}")

pwd.getpwuid = unknown
os.environ.pop("HOME", None)
"""


@contextmanager
def full_disk(limit: int) -> Iterator[None]:
    """No file of this process can be longer than `limit` bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_leaves_no_picture_behind(tmp_path: Path):
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    with pytest.raises(OSError), full_disk(2000):
        write_png(tmp_path / "a.png", pixels, SamplingParams("a"), "0" * 64, "test")
    assert list(tmp_path.iterdir()) == []
    write_png(tmp_path / "a.png", pixels, SamplingParams("a"), "0" * 64, "test")
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_without_a_home_and_with_a_folder_that_comes_and_goes(tmp_path: Path):
    (tmp_path / "sitecustomize.py").write_text(NOBODY)
    out = tmp_path / "out"
    options = ("--weights", str(tiny_checkpoint(tmp_path)), "--output-dir", str(out))
    with serve(tmp_path, *options, env={"PYTHONPATH": str(tmp_path)}) as server:
        server.wait("/readyz")
        server.wait_for_page()
        client = Client(server.url, verbose=False)
        shutil.rmtree(out)
        made, _ = client.predict("a red apple", steps=1, api_name="/generate")
        assert Path(made).exists() and list(out.glob("*.png"))
        shutil.rmtree(out)
        out.write_text("not a folder")
        status, body = server.get("/readyz")
        assert status == 503 and json.loads(body)["message"].startswith("The picture could not be saved")
        with pytest.raises(Exception, match="The picture could not be saved"):
            client.predict("a red apple", steps=1, api_name="/generate")
        out.unlink()
        server.wait("/readyz", seconds=5)


def test_a_page_that_failed_is_not_ready(tmp_path: Path):
    app = build(Settings(output_dir=tmp_path))
    state = AppState.of(app)
    service, page = state.service, state.page
    service.loader.state = type(service.state)("ready", service.state.message)
    client = TestClient(app, "http://127.0.0.1")  # without its start: nothing is loaded
    assert client.get("/readyz").status_code == 503 and "being opened" in client.get("/readyz").json()["message"]
    page.broken = True
    assert client.get("/readyz").status_code == 503 and "log has the details" in client.get("/readyz").json()["message"]
    page.app = Page(service)
    assert client.get("/readyz").status_code == 200
    for path in ("/readyz", "/healthz"):  # monitors ask without a body
        assert client.head(path).status_code == 200 and client.head(path).content == b""


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--max-side", "16"), "max_side must be at least 64 pixels, not 16"),
        (("--output-dir", "/dev/null/out"), "The output folder cannot be used: Not a directory: /dev/null/out."),
    ],
)
def test_what_cannot_work_ends_at_the_start_in_one_sentence(options: tuple[str, ...], sentence: str):
    command = [sys.executable, "demo/sd_demo/app.py", *options]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode != 0 and sentence in ended.stderr and "Traceback" not in ended.stderr
