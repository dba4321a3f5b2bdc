"""The one error of this package, and how it quotes others."""

from __future__ import annotations

from typing import ClassVar

from ldm_core.files import printable


class CheckpointError(ValueError):
    """A weights file that cannot be used; the message is one sentence for the person who named the file.

    Messages quote names and options out of the file, so control characters are shown as escapes and never sent to a
    terminal, and at most MOST characters are shown.
    """

    MOST: ClassVar = 2000

    def __init__(self, message: str) -> None:
        text = printable(message)
        super().__init__(text if len(text) <= self.MOST else f"{text[: self.MOST]}…")


def one_line(error: Exception) -> str:
    """The first line of another library's message."""
    return (str(error).splitlines() or [type(error).__name__])[0]
