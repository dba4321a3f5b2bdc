"""The one error of this package, and how it quotes others."""

from __future__ import annotations


class CheckpointError(ValueError):
    """A weights file that cannot be used; the message is one sentence for the person who named the file."""


def one_line(error: Exception) -> str:
    """The first line of another library's message."""
    return (str(error).splitlines() or [type(error).__name__])[0]
