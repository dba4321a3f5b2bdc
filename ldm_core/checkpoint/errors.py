"""The one error of this package, and how it quotes others."""

from __future__ import annotations

from ldm_core.text_files import printable


class CheckpointError(ValueError):
    """A weights file that cannot be used; the message is one sentence for the person who named the file.

    Messages quote names and options out of the file, so control characters are shown as escapes and never sent to a
    terminal.
    """

    def __init__(self, message: str) -> None:
        super().__init__(printable(message))


def one_line(error: Exception) -> str:
    """The first line of another library's message."""
    return (str(error).splitlines() or [type(error).__name__])[0]
