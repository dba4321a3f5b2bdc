"""A job as the page watches it: who watches, what a lost tab does, how often the page is told."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import AsyncIterator

from app.engine import Event, Job, Stepped, follow
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
