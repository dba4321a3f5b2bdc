"""Jobs as the page watches them: who watches, what a lost tab does, how often the page is told, several in turn."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass

from app.engine import Cancelled, Event, Failed, Interrupted, Job, Stepped, follow
from app.schemas import RequestError
from app.service import Service

MIN_SECONDS = 0.1  # between two steps shown without a preview: the eye reads no more, and each costs a message


class Watchers:
    """Counts the pages that watch a job, so that closing one of two tabs does not give the other's picture up."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._watching: Counter[str] = Counter()
        self._lock = threading.Lock()

    async def watch(self, job: Job) -> AsyncIterator[Event]:
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


@dataclass
class JobSeries:
    """Jobs that a page has made one after the other; `stop` gives up the one under way and all that would follow."""

    job_id: str = ""
    stopped: bool = False

    def stop(self, service: Service) -> None:
        """What a page's Stop does."""
        self.stopped = True
        service.cancel(self.job_id)

    async def watch(self, job: Job, events: AsyncIterator[Event]) -> AsyncIterator[Event]:
        """The events of one of them; RequestError where it fails or the server ends."""
        self.job_id = job.id
        async for event in events:
            raise_fault(event)
            self.stopped |= isinstance(event, Cancelled)
            yield event


def raise_fault(event: Event) -> None:
    """RequestError for the end of a job that has failed, or that the server's end cuts off."""
    if isinstance(event, Failed):
        raise RequestError("as_said", text=event.message)
    if isinstance(event, Interrupted):
        raise RequestError("closing")
