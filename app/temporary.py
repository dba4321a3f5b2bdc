"""Temporary folders of one process. What killed processes have left of them goes when the next one is made."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import tempfile
from pathlib import Path

if sys.platform != "win32":
    import fcntl

PREFIX = "latent-lab."


class TemporaryFolder:
    """A new folder that nobody else on the machine can read, foresee or have made before, locked while it is used."""

    def __init__(self, kind: str) -> None:
        """`kind` is a part of its name."""
        remove_abandoned()
        while True:
            self.path = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{kind}-"))  # 0700
            try:
                self._lock: int | None = _lock(self.path)
            except (BlockingIOError, FileNotFoundError):
                continue  # taken for abandoned, in the moment between the two lines
            except OSError:
                self._lock = None  # no locks here: nobody will take it for abandoned
            if self.path.exists():
                return

    def remove(self) -> None:
        """Delete it with what is in it."""
        shutil.rmtree(self.path, ignore_errors=True)
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def remove_abandoned() -> None:
    """Delete the folders that no living process holds."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):  # it is in use, or somebody else's
            lock = _lock(folder)
            shutil.rmtree(folder, ignore_errors=True)
            os.close(lock)


def _lock(folder: Path) -> int:
    """Lock a folder until the descriptor is closed, by the end of the process at the latest. OSError where another
    process has locked it, and where that cannot be done.
    """
    if sys.platform == "win32":
        raise OSError("folders cannot be locked")
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor
