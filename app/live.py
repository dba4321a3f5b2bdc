"""Live: one quick picture while somebody types. It leaves no file and no history, and a page never has two of them."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Generator
from dataclasses import dataclass, field, replace
from statistics import median
from typing import TYPE_CHECKING

from app.engine import Job, Requester, Stepped
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
    """Live is not to be had just now: `live_busy`, `live_slow` or `live_not_loaded`."""


@dataclass(eq=False)
class Speed:
    """How long a model's last sketches took on the pipeline that made them."""

    seconds: deque[float] = field(default_factory=lambda: deque(maxlen=MEASURED))
    pipe: Pipeline | None = None
    last: float = 0.0  # when, time.monotonic()

    @property
    def slow(self) -> bool | None:
        """Whether a sketch takes too long; None before one was made."""
        return median(self.seconds) > LIMIT_SECONDS if self.seconds else None

    @property
    def untried(self) -> bool:
        """Whether a trial would tell something new: a machine that was busy may not be any more."""
        return self.slow is None or (self.slow and time.monotonic() - self.last > RETRY_SECONDS)

    def note(self, pipe: Pipeline, seconds: float) -> None:
        """A sketch has taken so long."""
        if self.pipe is not pipe:
            self.pipe = pipe
            self.seconds.clear()
        self.seconds.append(seconds)
        self.last = time.monotonic()


class Live:
    """Starts sketches and knows from those it has seen whether they are quick enough."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._jobs: dict[tuple[str, str], Job] = {}  # (client, page) → its sketch under way
        self._speeds: dict[str, Speed] = {}  # by the model's name, "" the page's own

    def _speed(self, model: str = "") -> Speed:
        speed = self._speeds.setdefault(model, Speed())
        if not model and speed.pipe is not self._service.pipe:  # another runtime has taken over
            speed.seconds.clear()
        return speed

    @property
    def untried(self) -> bool:
        """Whether a trial of the page's own model would tell something new."""
        return self._speed().untried

    @property
    def slow(self) -> bool | None:
        """Whether a sketch of the page's own model takes too long on the runtime in use; None before one was made."""
        return self._speed().slow

    def start(self, params: SamplingParams, requester: Requester, page: str, model: str = "") -> Job:
        """Queue a sketch, which ends in Done(Sketch), or Done(None) where it took too long; the page's one before is
        cancelled. LiveOff where others wait, where the last ones took too long, or where `model` is not in memory: it
        would be loaded, and given up again, with every word.
        """
        service, file, client = self._service, self._service.models.find(model), requester.client
        asked = "" if file is service.models.own else file.name
        if service.engine.drawing_for_others(client):
            raise LiveOff("live_busy")
        if asked and asked not in service.pool.loaded:
            raise LiveOff("live_not_loaded")
        speed = self._speed(asked)
        if speed.untried:
            speed.seconds.clear()
        elif speed.slow:
            raise LiveOff("live_slow")
        wanted = replace(params, steps=STEPS, sampler=SAMPLER, eta=0.0, batch=1, width=None, height=None)
        check_params(wanted, file.limits)
        wanted = service.in_english(wanted, asked)
        self.cancel(client, page)
        sha256 = file.sha256 if asked else ""
        job = service.submit_work(lambda pipe: _draw(pipe, wanted, speed), STEPS, sha256, requester)
        self._jobs = {key: other for key, other in self._jobs.items() if not other.done} | {(client, page): job}
        return job

    def cancel(self, client: str, page: str) -> None:
        """Stop a page's sketch."""
        if (job := self._jobs.pop((client, page), None)) is not None:
            self._service.cancel(job.id, client)


def _draw(pipe: Pipeline, params: SamplingParams, speed: Speed) -> Generator[Stepped, None, Sketch | None]:
    begun = time.monotonic()
    run = pipe.stream(params)
    try:
        while True:
            step = next(run)
            yield Stepped(step.i, step.n, float(step.t), 0.0, None)
            if (seconds := time.monotonic() - begun) > 2 * LIMIT_SECONDS:  # no need to see the end of it
                speed.note(pipe, seconds)
                return None
    except StopIteration as end:
        pixels = pipe.decode(end.value)[0]
    seconds = time.monotonic() - begun
    speed.note(pipe, seconds)
    return Sketch(pixels, seconds)
