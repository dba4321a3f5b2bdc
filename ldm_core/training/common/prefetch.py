"""Draw batches ahead in other processes, so that a GPU does not wait for them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import Any, Protocol, TypeVar

import torch
from torch.utils.data import DataLoader

T = TypeVar("T", covariant=True)
MOST = 8  # each draws some 12,000 samples a second
AHEAD = 4  # items that each has ready


class Source(Protocol[T]):
    """Index → item, a function of the index alone."""

    def __getitem__(self, index: int) -> T:
        """The item."""


def prefetch(source: Source[T], indices: Iterable[int], workers: int) -> Iterator[T]:
    """Yield `source[i]` in order; `indices` may be infinite. Without workers each is made when asked for."""
    if not workers:
        return map(source.__getitem__, indices)
    loader: DataLoader[Any] = DataLoader(
        source,  # type: ignore[arg-type]
        batch_size=None,
        sampler=indices,
        num_workers=workers,
        prefetch_factor=AHEAD,
        pin_memory=torch.cuda.is_available(),
        multiprocessing_context="fork",
    )
    return iter(loader)


def default_workers(device: torch.device, processes: int = 1) -> int:
    """Worker processes for drawing batches: 0 on CPU, else this process's cores − 1, at most 8."""
    if device.type != "cuda" or not hasattr(os, "fork"):
        return 0
    return max(1, min(MOST, len(os.sched_getaffinity(0)) // processes - 1))
