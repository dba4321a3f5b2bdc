"""A sampling run as a lab's work: its steps become the engine's events."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING

from torch import Tensor

from app.engine import Stepped

if TYPE_CHECKING:
    from ldm_core.diffusion.sample_loop import Run, Step


def follow_run(run: Run, each: Callable[[Step], object] = lambda step: None) -> Generator[Stepped, None, Tensor]:
    """An event for every step of a run, after `each` has seen it; returns the final latents [B,C,h,w]."""
    start = time.monotonic()
    while True:
        try:
            step = next(run)
        except StopIteration as end:
            latents: Tensor = end.value
            return latents
        each(step)
        left = (time.monotonic() - start) / step.i * (step.n - step.i)
        yield Stepped(step.i, step.n, step.t, left, None)
