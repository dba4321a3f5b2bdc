"""What visitors upload: whose it is, how much it may be, how long it stays."""

from __future__ import annotations

import asyncio
import logging
import shutil
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from starlette.formparsers import MultiPartException
from starlette.types import Message, Receive, Scope

from app.security.addresses import account
from app.security.messages import header
from app.settings import Settings
from app.temporary import TemporaryFolder

log = logging.getLogger(__name__)
BLOCK = 4096  # bytes that even an empty file takes
SWEEPS = 10  # how often within an upload's life the folder is looked through


@contextmanager
def upload_folder(data_dir: Path | None) -> Iterator[Path]:
    """The folder of what is uploaded to this process, mode 0700, empty at first and gone at the end.

    A data folder belongs to one process at a time, so what a killed one has left in it can go.
    """
    if data_dir is None:
        temporary = TemporaryFolder("uploads")
        try:
            yield temporary.path
        finally:
            temporary.remove()
        return
    folder = data_dir.resolve() / "uploads"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700, exist_ok=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def sweep(folder: Path, seconds: float) -> None:
    """Delete what lies in the folder for longer than this, until cancelled."""
    while True:
        await asyncio.sleep(seconds / SWEEPS)
        try:
            await asyncio.to_thread(delete_older, folder, seconds)
        except OSError:
            log.warning("old uploads could not be deleted", exc_info=True)


def delete_older(folder: Path, seconds: float) -> None:
    """Delete files that were put here longer ago than this, and folders that are empty then."""
    oldest = time.time() - seconds
    for path in sorted(folder.rglob("*"), reverse=True):  # what is in a folder before the folder
        if path.is_dir() and not path.is_symlink():
            if not any(path.iterdir()) and path.lstat().st_ctime < oldest:
                path.rmdir()
        elif path.lstat().st_ctime < oldest:  # ctime: a copy keeps the mtime of what it was copied from
            path.unlink(missing_ok=True)


@dataclass
class Charge:
    """One upload: when (monotonic seconds), bytes, files."""

    at: float
    size: int
    files: int = 0


class UploadQuotas:
    """What each address has uploaded in the last `upload_seconds`, which is how long it is kept."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._charges: dict[str, deque[Charge]] = {}

    def charge(self, address: str, size: int) -> str | None:
        """Put an upload on an address's account; the sentence to refuse it with where it does not fit."""
        self._forget_old()
        s, mine = self._settings, self._of(address)
        held = sum(c.size for c in mine)
        total = sum(c.size for charges in self._charges.values() for c in charges)
        if held + size > s.upload_quota_bytes:
            return f"Too much was uploaded from your address; {self._again()}"
        if sum(c.files for c in mine) >= s.upload_quota_files:
            return f"Too many files were uploaded from your address; {self._again()}"
        if total + size > s.upload_total_bytes:
            return f"The server holds too many uploads; {self._again()}"
        mine.append(Charge(time.monotonic(), max(size, BLOCK)))
        return None

    def count(self, address: str) -> str | None:
        """Count one more file of the upload that was charged last; the sentence where it is one too many."""
        mine = self._of(address)
        if sum(c.files for c in mine) >= self._settings.upload_quota_files:
            return f"Too many files were uploaded from your address; {self._again()}"
        if mine:
            mine[-1].files += 1
        return None

    def _of(self, address: str) -> deque[Charge]:
        return self._charges.setdefault(account(address), deque())

    def _again(self) -> str:
        return f"please try again in {max(1, round(self._settings.upload_seconds / 60))} minutes."

    def _forget_old(self) -> None:
        oldest = time.monotonic() - self._settings.upload_seconds
        for whose, charges in list(self._charges.items()):
            while charges and charges[0].at < oldest:
                charges.popleft()
            if not charges:
                del self._charges[whose]


def boundary_of(scope: Scope) -> bytes:
    """The line between two parts of a multipart body."""
    from python_multipart.multipart import parse_options_header

    _, options = parse_options_header(header(scope, "content-type"))
    return b"--" + options.get(b"boundary", b"")


def count_parts(receive: Receive, boundary: bytes, another: Callable[[], str | None]) -> Receive:
    """The body with `another` asked after each part; its refusal ends the parsing, which removes what was written."""
    tail, parts = b"", 0

    async def on() -> Message:
        nonlocal tail, parts
        message = await receive()
        text = tail + message.get("body", b"")
        found = text.count(boundary)
        for _ in range(found):
            parts += 1  # the first boundary only begins a part; every further one ends one
            if parts > 1 and (refusal := another()) is not None:
                raise MultiPartException(refusal)
        after = text.rfind(boundary) + len(boundary) if found else 0
        tail = text[after:][-len(boundary) + 1 :]
        return message

    return on
