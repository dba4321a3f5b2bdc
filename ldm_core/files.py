"""Text files that people name, read within bounds and in any encoding; files of ours, written whole or not at all."""

from __future__ import annotations

import codecs
import io
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

if sys.platform != "win32":
    import fcntl

MOST = 1_000_000  # bytes; the largest file of settings or prompts anybody has written is far smaller
BOMS = (  # the 32-bit marks begin with the 16-bit ones, so they come first
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


def read_text(path: str | Path, most: int = MOST) -> str:
    """The text of a regular file of at most `most` bytes, in UTF-8 or whatever its byte-order mark says.

    `~` is expanded. Raises ValueError with one sentence for a file that is not there, is no regular file (a FIFO would
    be waited for without end, /dev/zero read without end), is longer, or is not text in its encoding.
    """
    path = Path(path).expanduser()
    try:
        # a FIFO without a writer blocks in open(), so it is not asked to; O_NONBLOCK is nothing to a regular file
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        with os.fdopen(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise ValueError(f"{path} is not a regular file")
            content = file.read(most + 1)
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from error
    if len(content) > most:
        raise ValueError(f"{path} is longer than {most:,} bytes")
    mark, encoding = next((known for known in BOMS if content.startswith(known[0])), (b"", "utf-8"))
    try:
        return content[len(mark) :].decode(encoding)
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not text in {encoding.upper()}") from error


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A path to write to, which takes the place of `path` when the body ends, and is removed where it fails.

    Always the same hidden one, so that the next write replaces what a killed process has left. Its lock tells another
    process, in another container too, that it is in use; that one, and every one where there are no locks, writes to a
    path of its own.
    """
    partial = path.with_name(f".{path.name}.part")
    with partial.open("ab") as file:
        if not _locked(file, partial):
            partial = path.with_name(f".{path.name}.{os.getpid()}.part")
        try:
            yield partial
            partial.replace(path)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise


def _locked(file: IO[bytes], path: Path) -> bool:
    """Take a new file's lock, till it is closed; False where another has it, or has moved the file away.

    Where there are no locks the file goes again.
    """
    try:
        if sys.platform == "win32":
            raise OSError("no locks")
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except (BlockingIOError, FileNotFoundError):
        return False
    except OSError:
        path.unlink(missing_ok=True)
        return False


def print_anywhere() -> None:
    """Let stdout and stderr write ? for what their encoding has no sign for: an ASCII terminal is no reason to fail."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def printable(text: str) -> str:
    """Control characters, line breaks and invisible marks as visible escapes: what a stranger's file may print."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)
