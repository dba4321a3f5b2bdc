"""Jobs as the page watches them: who watches, what a lost tab does, how often the page is told, several in turn."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import aclosing
from typing import Any

import gradio as gr

from app.engine import Cancelled, Event, Failed, Interrupted, Job, Stepped, follow
from app.schemas import RequestError
from app.service import Service
from app.widgets.events import QUIET

MIN_SECONDS = 0.1  # between two steps shown without a preview: the eye reads no more, and each costs a message


class Watchers:
    """Counts the pages that watch a job, so that closing one of two tabs does not give the other's picture up."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._watching: Counter[str] = Counter()
        self._lock = threading.Lock()

    async def watch(self, job: Job) -> AsyncGenerator[Event, None]:
        """The job's events, steps thinned. Closed before the end (a lost tab), it leaves the job detached."""
        with self._lock:
            self._watching[job.id] += 1
            self._service.attach(job.id)
        try:
            shown = 0.0
            async for _, event in follow(job):
                if isinstance(event, Stepped) and event.preview is None and event.i < event.n:
                    if time.monotonic() - shown < MIN_SECONDS:
                        continue
                    shown = time.monotonic()
                yield event
        finally:
            self._leave(job)

    def _leave(self, job: Job) -> None:
        with self._lock:
            self._watching[job.id] -= 1
            if self._watching[job.id] > 0:
                return
            del self._watching[job.id]
            if not job.done:
                self._service.detach(job.id)


class JobSeries:
    """Jobs that a page has made one after the other, so that others get their turn between two of them."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._job_id = ""
        self.stopped = False

    def stop(self) -> None:
        """Give up the one under way and all that would follow."""
        self.stopped = True
        self._service.cancel(self._job_id)

    async def run(self, submits: Iterable[Callable[[], Job]]) -> AsyncGenerator[tuple[int, Job, Event], None]:
        """The events of each job in turn, with its place from 0; the last ones where the series is stopped.

        RequestError where a job fails or the server ends. Close it where the page goes away: as with any lost tab, the
        job under way is detached.
        """
        for k, submit in enumerate(submits):
            if self.stopped:
                return
            job = await asyncio.to_thread(submit)  # it is written down, which waits for the disk
            self._begin(job)
            async with aclosing(Watchers(self._service).watch(job)) as events:
                async for event in events:
                    raise_fault(event)
                    self.stopped |= isinstance(event, Cancelled)
                    yield k, job, event

    def _begin(self, job: Job) -> None:
        self._job_id = job.id
        if self.stopped:  # while it was being submitted
            self._service.cancel(job.id)


def stop_series(series: JobSeries | None) -> Any:
    """What the Stop of a page's series does; then that button sleeps."""
    if series is not None:
        series.stop()
    return gr.update(interactive=False)


def wire_stop(button: Any, series: Any) -> None:
    """Let a button stop the JobSeries that a gr.State holds."""
    button.click(stop_series, series, button, **QUIET)


def raise_fault(event: Event) -> None:
    """RequestError for the end of a job that has failed, or that the server's end cuts off."""
    if isinstance(event, Failed):
        raise RequestError("as_said", text=event.message)
    if isinstance(event, Interrupted):
        raise RequestError("closing")
