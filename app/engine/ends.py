"""How jobs end: files and journal are written in threads, and then whoever follows the job is told."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

from app.engine.job import Done, End, Failed, Job, for_people, sentence
from app.engine.metrics import Metrics
from app.engine.progress import Running
from app.logs import request_context
from ldm_core.images import Pixels

log = logging.getLogger(__name__)
WRITERS = 2  # threads


class Keeper(Protocol):
    """What writes jobs and their pictures down, always before anybody is told."""

    def begin(self, job: Job) -> None:
        """A job is about to be prepared; the engine's thread waits for this."""

    def save(self, job: Job, pictures: list[Pixels], seconds: float, steps: int) -> Any:
        """Pictures, uint8 [H,W,3] each, made in so many seconds and steps → what Done will carry. Runs in a thread."""

    def end(self, job: Job, event: End) -> None:
        """A job has ended so; of a durable one this runs in a thread."""

    def lost(self) -> None:
        """The device is lost: as after a crash the runs under way count, for what one of them asks may be the cause."""


class Ends:
    """Ends jobs; nothing here waits for a disk but its own threads."""

    def __init__(self, keeper: Keeper, metrics: Metrics) -> None:
        self._keeper, self._metrics = keeper, metrics
        self._writers = ThreadPoolExecutor(WRITERS, thread_name_prefix="save")

    def end(self, job: Job, event: End) -> None:
        """Tell a job's end; that of a durable job is written down first."""
        if job.requester.durable:
            self._in_thread(job, lambda: self._tell(job, event))
        else:
            self._tell(job, event)

    def save(self, running: Running) -> None:
        """Write the files of a job whose pictures are all there; its last event comes after that."""
        self._in_thread(running.job, lambda: self._tell(running.job, self._saved(running)))

    def close(self) -> None:
        """Wait for what is being written."""
        self._writers.shutdown(wait=True)

    def _in_thread(self, job: Job, work: Callable[[], None]) -> None:
        try:
            self._writers.submit(work)
        except RuntimeError:  # closed: nothing is written any more, and whoever waits sees an end
            job.end(job.stopped(0, job.request.steps))

    def _saved(self, running: Running) -> End:
        if not running.job.wanted():
            return running.stopped()
        images = [running.images[k] for k in sorted(running.images)]
        try:
            return Done(self._keeper.save(running.job, images, time.monotonic() - running.start, running.n))
        except Exception as error:
            return failed(running.job, error)

    def _tell(self, job: Job, event: End) -> None:
        if job.done:
            return
        try:
            with request_context(job.requester.request_id):
                _tell_operator(job, event)
                self._keeper.end(job, event)
        except Exception:  # a full disk, say: whoever follows the job has to see its end all the same
            log.exception("the end of job %s could not be written down", job.id)
        job.end(event)
        self._metrics.ended(event)


def _tell_operator(job: Job, event: End) -> None:
    seconds = round(time.monotonic() - job.created, 2)
    log.info("job ended", extra={"about": {"job": job.id, "end": type(event).__name__.lower(), "seconds": seconds}})


def failed(job: Job, error: Exception, client_error: bool = False) -> Failed:
    """A job's failure, which is logged, as its last event."""
    with request_context(job.requester.request_id):
        log.warning("job %s failed: %s", job.id, error, exc_info=None if for_people(error) else error)
    return Failed(sentence(error), client_error)
