"""Jobs under way, and what their followers are told."""

from __future__ import annotations

import itertools
import logging
import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from app.engine.job import End, Job, Loading, Queued, Stepped
from app.engine.metrics import Metrics
from app.engine.rows import Kind, Models, Row
from ldm_core.images import Pixels, picture_grid, sheet_columns

log = logging.getLogger(__name__)
PREVIEW_SECONDS = 0.25  # between two previews of a job
PREVIEW_SHARE = 0.05  # of the engine's time that previews may take
WAIT_SECONDS, WAIT_SHARE = 1.0, 0.1  # a new wait is reported when it differs by more than 1 s and by more than 10 %


@dataclass(eq=False)
class Running:
    """A job the engine has taken: rows, or a lab's work."""

    job: Job
    rows: Sequence[Row] = ()
    work: Generator[Stepped, None, Any] | None = None
    images: dict[int, Pixels] = field(default_factory=dict)  # decoded, by index
    start: float = field(default_factory=time.monotonic)
    shown: float = 0.0  # when the last preview was made
    i: int = 0
    n: int = 0

    def due(self, kind: Kind) -> list[Row]:
        """The rows whose next question is of this kind."""
        return [row for row in self.rows if row.finished == (kind == "decode") and row.index not in self.images]

    def stopped(self) -> End:
        """The job's end where it is not wanted any more."""
        return self.job.stopped(self.i, self.n)


class Reporter:
    """Emits places in the queue, how far models are, steps and previews."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._previews_from = 0.0  # time.monotonic()
        self._rate: float | None = None  # rows answered a second
        self._told = 0.0  # when places were last told, time.monotonic()

    def note(self, answered: int, seconds: float) -> None:
        """A tick answered so many rows in so many seconds."""
        if answered:
            rate = answered / seconds
            self._rate = rate if self._rate is None else 0.9 * self._rate + 0.1 * rate

    def due(self) -> bool:
        """Whether waiting jobs may want to know again how long it will take, though no place has changed."""
        return time.monotonic() - self._told >= WAIT_SECONDS

    def positions(self, waiting: Sequence[Job], running: Sequence[Running]) -> None:
        """Tell waiting jobs where they stand and how long that will take at the rate of the last ticks."""
        self._told = time.monotonic()
        ahead = sum(row.n - row.i for one in running for row in one.rows)
        for k, job in enumerate(waiting):
            ahead += job.request.steps * job.request.batch
            now = Queued(k + 1, None if self._rate is None else ahead / self._rate)
            last = job.last(Queued)
            if last is None or last.position != now.position or (job.events[-1] is last and _shifted(last, now)):
                job.emit(now)

    def loading(self, waiting: Sequence[Job], models: Models) -> None:
        """Tell jobs that wait for their model how far it is, in whole per cent."""
        for job in waiting:
            at = models.progress(job.model)
            if at is not None and job.last(Loading) != (told := Loading(at[0], round(at[1], 2))):
                job.emit(told)

    def report(self, jobs: Sequence[Running], models: Models) -> None:
        """Tell every job that has got on, with a preview where one is due."""
        now = time.monotonic()
        due: list[Running] = []
        ahead: list[Running] = []
        for running in jobs:
            if running.rows and (i := min(row.i for row in running.rows)) > running.i:
                if running.i == 0:
                    self._metrics.first_step.observe(now - running.job.created)
                running.i = i
                ahead.append(running)
                if running.job.requester.previews and i < running.n and now - running.shown >= PREVIEW_SECONDS:
                    due.append(running)
        previews = self._previews(due, models) if due and now >= self._previews_from else {}
        for running in ahead:
            i, n, preview = running.i, running.n, previews.get(running.job.id)
            left = (now - running.start) / i * (n - i)
            running.job.emit(Stepped(i, n, running.rows[0].t, left, preview))

    def _previews(self, due: Sequence[Running], models: Models) -> dict[str, Pixels]:
        """A sheet of each job's pictures as they are now; never more than their share of the engine's time."""
        start = time.monotonic()
        made: dict[str, Pixels] = {}
        for _, same in itertools.groupby(sorted(due, key=lambda r: repr(r.rows[0].key)), lambda r: r.rows[0].key):
            group = list(same)
            try:
                pixels = iter(
                    models.model(group[0].job.model).preview([row for running in group for row in running.rows])
                )
            except Exception:
                log.warning("no preview", exc_info=True)
                continue
            for running in group:
                pictures = np.stack([next(pixels) for _ in running.rows])
                made[running.job.id] = picture_grid(pictures, sheet_columns(len(pictures)))
                running.shown = start
        now = time.monotonic()
        self._previews_from = now + (now - start) * (1 / PREVIEW_SHARE - 1)
        return made


def _shifted(last: Queued, now: Queued) -> bool:
    """Whether a wait has become so much shorter or longer that it is worth an event."""
    if last.wait_seconds is None or now.wait_seconds is None:
        return now.wait_seconds is not None
    return abs(now.wait_seconds - last.wait_seconds) >= max(WAIT_SECONDS, WAIT_SHARE * last.wait_seconds)
