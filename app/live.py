"""Live: one quick picture while somebody types. It leaves no file and no history, and a page never has two of them."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Generator
from dataclasses import dataclass, replace
from statistics import median
from typing import TYPE_CHECKING

from app.engine import Job, Stepped
from app.schemas import RequestError, check_params
from app.service import Service
from ldm_core.images import Pixels
from ldm_core.sampling import SamplingParams

if TYPE_CHECKING:
    from ldm_core.pipeline import Pipeline

STEPS, SAMPLER = 8, "ddim"  # at so few steps DDIM comes closest to what 50 make of the same seed
LIMIT_SECONDS = 0.6  # a picture that takes longer comes too late to be typed with
RETRY_SECONDS = 15.0
MEASURED = 5  # pictures that are remembered
TRIAL = SamplingParams("a red apple", seed=0)


@dataclass(frozen=True, eq=False)
class Sketch:
    """A quick picture, uint8 [H,W,3], and the seconds from its first step to its pixels."""

    pixels: Pixels
    seconds: float


class LiveOff(RequestError):
    """Live is not to be had just now: `live_busy` or `live_slow`."""


class Live:
    """Starts sketches and knows from those it has seen whether they are quick enough."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._jobs: dict[tuple[str, str], Job] = {}  # (client, page) → its sketch under way
        self._seconds: deque[float] = deque(maxlen=MEASURED)
        self._pipe: Pipeline | None = None  # that made those
        self._last = 0.0  # when, time.monotonic()

    @property
    def untried(self) -> bool:
        """Whether a trial would tell something new: a machine that was busy may not be any more."""
        return self.slow is None or (self.slow and time.monotonic() - self._last > RETRY_SECONDS)

    @property
    def slow(self) -> bool | None:
        """Whether a sketch takes too long on the runtime in use; None before one was made."""
        known = self._seconds and self._pipe is self._service.pipe
        return median(self._seconds) > LIMIT_SECONDS if known else None

    def start(self, params: SamplingParams, client: str, page: str) -> Job:
        """Queue a sketch, which ends in Done(Sketch), or Done(None) where it took too long; the page's one before is
        cancelled. LiveOff where others wait, or where the last ones took too long.
        """
        service = self._service
        if service.engine.drawing_for_others(client):
            raise LiveOff("live_busy")
        if self.untried:
            self._seconds.clear()
        elif self.slow:
            raise LiveOff("live_slow")
        wanted = replace(params, steps=STEPS, sampler=SAMPLER, eta=0.0, batch=1, width=None, height=None)
        check_params(wanted, service.limits)
        wanted = service.in_english(wanted)
        self.cancel(client, page)
        job = service.study(lambda pipe: self._draw(pipe, wanted), STEPS, client)
        self._jobs = {key: other for key, other in self._jobs.items() if not other.done} | {(client, page): job}
        return job

    def cancel(self, client: str, page: str) -> None:
        """Stop a page's sketch."""
        if (job := self._jobs.pop((client, page), None)) is not None:
            self._service.cancel(job.id, client)

    def _draw(self, pipe: Pipeline, params: SamplingParams) -> Generator[Stepped, None, Sketch | None]:
        begun = time.monotonic()
        run = pipe.stream(params)
        try:
            while True:
                step = next(run)
                yield Stepped(step.i, step.n, float(step.t), 0.0, None)
                if (seconds := time.monotonic() - begun) > 2 * LIMIT_SECONDS:  # no need to see the end of it
                    self._note(pipe, seconds)
                    return None
        except StopIteration as end:
            pixels = pipe.decode(end.value)[0]
        seconds = time.monotonic() - begun
        self._note(pipe, seconds)
        return Sketch(pixels, seconds)

    def _note(self, pipe: Pipeline, seconds: float) -> None:
        if self._pipe is not pipe:
            self._pipe = pipe
            self._seconds.clear()
        self._seconds.append(seconds)
        self._last = time.monotonic()
