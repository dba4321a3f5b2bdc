"""How many processor threads make a picture: one for a small model, every core for a large one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

# A small network's layers take microseconds: a second thread gains a tenth, and where another program keeps one core
# busy the first waits for it at every layer, 2 to 11 times as long (docs/performance.md).
SMALL_PARAMETERS = 100_000_000  # the embedded model has 19 million, SD v1 1,066 million


def default_threads(model: nn.Module) -> int | None:
    """1 for a small model, None (every core) for a large one. Its size decides, not the machine or the request:
    other threads give other last bits, and a picture has the same ones alone and in a crowd.
    """
    return 1 if sum(p.numel() for p in model.parameters()) < SMALL_PARAMETERS else None


@contextmanager
def torch_threads(n: int | None) -> Iterator[None]:
    """Torch computes on n threads in here, None as many as before; the calling thread's number comes back."""
    before = torch.get_num_threads()
    if n in (None, before):
        yield
        return
    torch.set_num_threads(n)
    try:
        yield
    finally:
        torch.set_num_threads(before)
