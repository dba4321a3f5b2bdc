"""Files go by age; the folder is nobody else's."""

from __future__ import annotations

import asyncio
import os
import stat
import time
from pathlib import Path

import pytest

from app.security.uploads import delete_older, sweep, upload_folder


@pytest.mark.parametrize("kept", [False, True])
def test_the_folder_is_private_and_empty_and_goes(kept: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """In a data folder what a killed process has left goes first."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    left = tmp_path / "uploads" / "hash" / "a.png"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"x")
    with upload_folder(tmp_path if kept else None) as folder:
        assert folder.parent == tmp_path and left.exists() is not kept
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700 and list(folder.iterdir()) == []
        (folder / "b.png").write_bytes(b"x")
    assert not folder.exists()


def test_files_and_empty_folders_go_by_age_whatever_their_mtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "hash").mkdir()
    file = tmp_path / "hash" / "a.png"
    file.write_bytes(b"x")
    os.utime(file, (0, 0))  # copied from an old picture
    delete_older(tmp_path, 60)
    assert file.exists()
    now = time.time()
    monkeypatch.setattr("app.security.uploads.time.time", lambda: now + 61)
    delete_older(tmp_path, 60)
    assert not file.exists()
    delete_older(tmp_path, 60)  # a folder at the latest when it is seen empty
    assert list(tmp_path.iterdir()) == []


def test_sweeping_goes_on_until_cancelled(tmp_path: Path):
    async def run() -> None:
        task = asyncio.create_task(sweep(tmp_path, 0.1))
        for name in "ab":
            (tmp_path / name).write_bytes(b"x")
            async with asyncio.timeout(20):
                while (tmp_path / name).exists():
                    await asyncio.sleep(0.01)
        task.cancel()

    asyncio.run(run())
