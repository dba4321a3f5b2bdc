"""A study driven to its end without an engine."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from app.engine import Stepped


def answer(work: Generator[Stepped, None, Any]) -> tuple[Any, list[Stepped]]:
    """What it returns, and the steps it reported."""
    steps = []
    while True:
        try:
            steps.append(next(work))
        except StopIteration as end:
            return end.value, steps
