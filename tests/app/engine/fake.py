"""A model without weights, whose calls take a fixed time and whose prompts say what goes wrong; and a keeper."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from app.engine import End, Job


class Lost(RuntimeError):
    """As torch raises it for each call once the GPU is gone."""


@dataclass(eq=False)
class FakeRow:
    job: Job
    index: int
    n: int
    pixels: int = 128 * 128
    terms: int = 2
    key: Hashable = "128"
    i: int = 0
    t: float = 0.0
    finished: bool = False
    error: Exception | None = None


@dataclass(eq=False)
class FakeKeeper:
    """Hands the engine what `save` returns, and writes nothing down."""

    save: Callable[[Job, list[Any], float, int], Any] = lambda *_: None
    begin: Callable[[Job], None] = lambda job: None
    end: Callable[[Job, End], object] = lambda job, event: None
    lost: Callable[[], None] = lambda: None


class FakeModel:
    """A call takes `base` seconds and `each` more for every row of the network."""

    pipe: Any = None

    def __init__(self, base: float = 0.0, each: float = 0.0) -> None:
        self.base, self.each = base, each
        self.gate = threading.Event()  # what prompts called "wait" wait for
        self.calls: list[int] = []  # rows
        self.memory = 10**6  # rows that fit
        self.lost = False

    def prepare(self, job: Job) -> list[FakeRow]:
        if job.request.prompt == "unprepared":
            raise ValueError("this prompt cannot be encoded")
        if self.lost:
            raise Lost
        return [FakeRow(job, k, job.request.steps) for k in range(job.request.batch)]

    def answer(self, rows: Sequence[FakeRow]) -> None:
        prompts = [row.job.request.prompt for row in rows]
        if "wait" in prompts:
            self.gate.wait(10)
        size = sum(row.terms for row in rows)
        if size > self.memory:
            raise MemoryError
        self.lost |= "lose" in prompts
        if self.lost:
            raise Lost
        if "fail" in prompts:
            raise ValueError("this prompt cannot be drawn")
        if "crash" in prompts or ("rubbish" in prompts and random.random() < 0.1):
            raise KeyError("internal")
        if self.base or self.each:
            time.sleep(self.base + self.each * size)
        self.calls.append(size)
        for row in rows:
            row.i += 1
            row.finished = row.i == row.n
            if row.job.request.prompt == "stumble":
                row.error = RuntimeError("a sampler's own fault")

    def decode(self, rows: Sequence[FakeRow]) -> list[Any]:
        if any(row.job.request.prompt == "undecoded" for row in rows):
            raise ValueError("this picture cannot be decoded")
        return [np.full((8, 8, 3), row.index, np.uint8) for row in rows]

    def preview(self, rows: Sequence[FakeRow]) -> list[Any]:
        if any(row.job.request.prompt == "blind" for row in rows):
            raise RuntimeError("no preview")
        return [np.full((4, 4, 3), row.i % 256, np.uint8) for row in rows]

    def is_lost(self, error: Exception) -> bool:
        return isinstance(error, Lost)


class Alone:
    """The one model of every job (app.engine.rows.Models)."""

    def __init__(self, model: Any) -> None:
        self._model = model

    def model(self, sha256: str) -> Any:
        return self._model

    def admit(self, waiting: object, busy: object) -> Callable[[Job], bool]:
        return lambda job: True

    def progress(self, sha256: str) -> None:
        return None

    fault = progress
