"""Folders of one process go with it, at the latest when the next one starts."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from app.temporary import TemporaryFolder

HOLD = "import app.temporary; print(app.temporary.TemporaryFolder('held').path, flush=True); input()"


def test_a_folder_is_private_and_new(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    one, other = TemporaryFolder("uploads"), TemporaryFolder("uploads")
    assert one.path != other.path and stat.S_IMODE(one.path.stat().st_mode) == 0o700
    one.remove()
    assert not one.path.exists() and other.path.exists()
    other.remove()


def test_what_a_killed_process_left_goes_when_the_next_folder_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And what a living one uses stays, as does what only looks like such a folder."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    foreign = [tmp_path / "latent-lab-runs-0", tmp_path / "latent-lab.txt", tmp_path / "latent-lab.link"]
    foreign[0].mkdir()
    foreign[1].write_text("mine")
    foreign[2].symlink_to(foreign[0])
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD],
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    left = Path(process.stdout.readline().strip())
    (left / "a.png").write_bytes(b"x")
    mine = TemporaryFolder("mine")
    assert left.parent == tmp_path and (left / "a.png").exists()
    process.send_signal(signal.SIGKILL)
    process.communicate()
    TemporaryFolder("next").remove()
    assert not left.exists() and mine.path.exists() and all(path.exists() for path in foreign)
    mine.remove()
