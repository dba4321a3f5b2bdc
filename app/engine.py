"""One worker that drives jobs: submit, cancel, follow. A batching engine will replace only its inside."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
import uuid
from collections.abc import AsyncIterator, Callable, Generator
from dataclasses import dataclass, field, replace
from typing import Any

from app.i18n import Sentence
from app.schemas import GenerateRequest, RequestError
from ldm_core.images import Pixels

POLL_SECONDS = 0.05
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Queued:
    """Waiting; position 1 is next. wait_seconds is a guess from what has run so far, None before anything has."""

    position: int
    wait_seconds: float | None


@dataclass(frozen=True)
class Started:
    """The worker has taken the job."""

    n: int


@dataclass(frozen=True)
class Stepped:
    """Step i of n is done; preview is uint8 [h,w,3] at most four times a second, else None."""

    i: int
    n: int
    t: float
    seconds_left: float
    preview: Pixels | None = field(compare=False, repr=False)


@dataclass(frozen=True)
class Done:
    """The pictures are on disk: a GenerateResult; of a study, what its work returned."""

    result: Any


@dataclass(frozen=True)
class Failed:
    """This job failed, and only this one."""

    message: Sentence


@dataclass(frozen=True)
class Cancelled:
    """Stopped after step i of n."""

    i: int
    n: int


Event = Queued | Started | Stepped | Done | Failed | Cancelled
Work = Callable[["Job"], Generator[Stepped, None, Any]]


class QueueFull(RequestError):
    """Too many jobs wait already."""


@dataclass(eq=False)
class Job:
    """One request on its way. Events are only ever appended and stay in place, so each reader keeps its own cursor."""

    request: GenerateRequest
    init_image: Pixels | None = None
    mask: Pixels | None = None
    work: Work | None = None  # a lab's own question to the model; None: make the pictures
    id: str = field(default_factory=lambda: uuid.uuid4().hex)
    events: list[Event] = field(default_factory=list)
    cancelled: threading.Event = field(default_factory=threading.Event)
    deadline: float | None = None  # set while nobody watches: time.monotonic() at which it is given up

    @property
    def done(self) -> bool:
        """Whether the last event there will ever be is in."""
        return bool(self.events) and isinstance(self.events[-1], (Done, Failed, Cancelled))

    def since(self, cursor: int) -> list[Event]:
        """Events from number `cursor` on."""
        return self.events[cursor:]

    def end(self, event: Done | Failed | Cancelled) -> None:
        """Append the last event. Of the previews only the latest stays: ended jobs are remembered by the hundred."""
        shown = [(k, e) for k, e in enumerate(self.events) if isinstance(e, Stepped) and e.preview is not None]
        for k, step in shown[:-1]:
            self.events[k] = replace(step, preview=None)
        self.events.append(event)

    def wanted(self) -> bool:
        """Whether anybody still waits for it."""
        return not self.cancelled.is_set() and (self.deadline is None or time.monotonic() < self.deadline)


async def follow(job: Job, cursor: int = 0) -> AsyncIterator[Event]:
    """A job's events to its end. A slow reader misses overtaken steps, never the last preview or the end."""
    while True:
        done = job.done  # before reading: what came in meanwhile is read in the next round
        events = job.since(cursor)
        cursor += len(events)
        steps = [e for e in events if isinstance(e, Stepped)]
        kept = steps[-1:] + [e for e in steps if e.preview is not None][-1:]
        for event in events:
            if not isinstance(event, Stepped) or any(event is e for e in kept):
                yield event
        if done:
            return
        await asyncio.sleep(POLL_SECONDS)


class Engine:
    """A queue and the one thread that works through it."""

    def __init__(self, work: Work, queue_size: int) -> None:
        self._work = work
        self._queue_size = queue_size
        self._waiting: list[Job] = []
        self._jobs: dict[str, Job] = {}
        self._changed = threading.Condition()
        self._closed = False
        self._seconds_per_job: float | None = None
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)
        self._thread.start()

    def submit(self, job: Job) -> Job:
        """Take a job, or raise QueueFull."""
        with self._changed:
            if len(self._waiting) >= self._queue_size:
                raise QueueFull("queue_full", count=len(self._waiting))
            self._forget_old()
            self._jobs[job.id] = job
            self._waiting.append(job)
            self._tell_positions()
            self._changed.notify()
        return job

    def get(self, job_id: str) -> Job | None:
        """A job that is waiting, running, or recently ended."""
        return self._jobs.get(job_id)

    def cancel(self, job_id: str) -> bool:
        """Stop a job: at once while it waits, at its next step while it runs. False where there is nothing to stop."""
        with self._changed:
            job = self._jobs.get(job_id)
            if job is None or job.done:
                return False
            job.cancelled.set()
            if job in self._waiting:
                self._waiting.remove(job)
                job.events.append(Cancelled(0, job.request.steps))
                self._tell_positions()
        return True

    def close(self) -> None:
        """Cancel everything and end the worker."""
        with self._changed:
            self._closed = True
            for job in list(self._jobs.values()):
                job.cancelled.set()
            while self._waiting:  # whoever follows one of these must see an end
                job = self._waiting.pop(0)
                job.events.append(Cancelled(0, job.request.steps))
            self._changed.notify()
        self._thread.join(timeout=10)

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._waiting and not self._closed:
                    self._changed.wait()
                if self._closed:
                    return
                job = self._waiting.pop(0)
                self._tell_positions()
            self._drive(job)

    def _drive(self, job: Job) -> None:
        start, i, n = time.monotonic(), 0, job.request.steps
        job.events.append(Started(n))
        steps = (job.work or self._work)(job)
        try:
            while job.wanted():
                event = next(steps)
                i, n = event.i, event.n
                job.events.append(event)
            steps.close()
            job.end(Cancelled(i, n))
        except StopIteration as end:
            seconds = time.monotonic() - start
            known = self._seconds_per_job
            self._seconds_per_job = seconds if known is None else 0.7 * known + 0.3 * seconds
            job.end(Done(end.value))
        except Exception as error:
            log.warning("job %s failed: %s", job.id, error, exc_info=not _for_people(error))
            job.end(Failed(sentence(error)))
        finally:
            job.init_image = job.mask = None  # the job is remembered for late readers, its pictures are not

    def _tell_positions(self) -> None:
        for k, job in enumerate(self._waiting):
            wait = None if self._seconds_per_job is None else (k + 1) * self._seconds_per_job
            job.events.append(Queued(k + 1, wait))

    def _forget_old(self, keep: int = 256) -> None:
        ended = [job_id for job_id, job in self._jobs.items() if job.done]
        for job_id in ended[: max(0, len(ended) - keep)]:
            del self._jobs[job_id]


def sentence(error: BaseException, otherwise: str = "not_made") -> Sentence:
    """An exception as one line for a person; of one that is not meant for people `otherwise` says where to look."""
    if isinstance(error, RequestError):
        return error.sentence
    if isinstance(error, MemoryError):
        return Sentence("out_of_memory")
    if not _for_people(error):
        return Sentence(otherwise, {"kind": type(error).__name__})
    text = (str(error).strip() or type(error).__name__).splitlines()[0]
    return Sentence("as_said", {"text": text if text.endswith(".") else f"{text}."})


def _for_people(error: BaseException) -> bool:
    return isinstance(error, (ValueError, MemoryError))
