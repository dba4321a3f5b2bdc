"""What every verb of the command line has in common."""

from __future__ import annotations

import io
import sys

import pytest

from ldm_core.__main__ import VERBS, main


@pytest.mark.parametrize("verb", VERBS)
def test_help_on_an_ascii_terminal(verb: str, monkeypatch: pytest.MonkeyPatch):
    terminal = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", terminal)
    with pytest.raises(SystemExit) as end:
        main([verb, "--help"])
    terminal.flush()
    assert end.value.code == 0 and b"usage: python -m ldm_core" in terminal.buffer.getvalue()  # type: ignore[attr-defined]
