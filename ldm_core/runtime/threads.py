"""How a processor's cores share the work: a small model's rows side by side, a large model's layers together."""

from __future__ import annotations

import os
from collections import Counter, defaultdict, deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import nn

# A small UNet's layers take microseconds: two threads at one layer wait for each other longer than they compute,
# and far longer where another program keeps a core busy. One thread a row needs no waiting (docs/performance.md).
SMALL_PARAMETERS = 100_000_000  # the embedded model has 19 million, SD v1 1,066 million
MOST_STREAMS = 16  # each has memory of its own for what lies between layers
TRIAL = 4  # calls in a row by which several threads are judged, by the quickest: the first ones wake the cores up
AGAIN = 128  # fewest calls between two trials of the slower number
LOSS = 64  # a trial waits until it costs at most one part in so many: one thread alone may take ten times as long
QUOTA = Path("/sys/fs/cgroup/cpu.max")


def is_small(model: nn.Module) -> bool:
    """Whether one thread is best for a row of this model's UNet. The size decides, not the machine or the request:
    other threads at a layer give other last bits, and a picture has the same ones alone and in a crowd.
    """
    return sum(p.numel() for p in model.parameters()) < SMALL_PARAMETERS


def cores() -> int:
    """How many cores this process may use: those it is bound to, within its container's quota."""
    bound = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = QUOTA.read_text(encoding="ascii").split()
        return max(1, min(bound, round(int(quota) / int(period))))
    except (OSError, ValueError):  # no container, or "max": no quota
        return bound


class Sharing:
    """How many threads share a call's rows: all of them, or for a row each one alone where that was quicker lately.

    Where other programs keep the cores busy, each thread waits for its turn, and a short call for the last of them.
    The quickest of a number's last calls decides. The slower number is tried now and then, so that no old time holds
    for good: one call on one thread, several on several.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._seconds: dict[tuple[int, int], deque[float]] = defaultdict(lambda: deque(maxlen=TRIAL))
        self._calls: Counter[int] = Counter()  # of so many rows, since the last trial
        self._trials: dict[int, list[int]] = {}  # rows → numbers of threads for the next calls, the last one first

    def threads(self, rows: int) -> int:
        """For the next call of so many rows."""
        if rows < 2 or rows > self._most:
            return min(max(1, rows), self._most)
        trial = self._trials.setdefault(rows, [1] + [rows] * TRIAL)
        if trial:
            return trial.pop()
        better, slower = sorted((rows, 1), key=lambda threads: self._quickest(rows, threads))
        trial = [slower] * (1 if slower == 1 else TRIAL)
        quick, slow = self._quickest(rows, better), self._quickest(rows, slower)
        if self._calls[rows] >= AGAIN and self._calls[rows] * quick >= LOSS * len(trial) * (slow - quick):
            self._calls[rows], self._trials[rows] = 0, trial
            return trial.pop()
        self._calls[rows] += 1
        return better

    def note(self, rows: int, threads: int, seconds: float) -> None:
        """A call of so many rows took so long."""
        self._seconds[rows, threads].append(seconds)

    def _quickest(self, rows: int, threads: int) -> float:
        return min(self._seconds[rows, threads], default=0.0)


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
