"""A job and the events of its life, which any number of readers may follow."""

from __future__ import annotations

import asyncio
import threading
import time
import uuid
from collections.abc import AsyncGenerator, Callable, Generator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeVar

from app.i18n import Sentence
from app.schemas import RequestError
from ldm_core.images import Pixels
from ldm_core.sampling import ParameterError, SamplingParams

if TYPE_CHECKING:
    from ldm_core.pipeline import Pipeline


@dataclass(frozen=True)
class Queued:
    """Waiting; position 1 is next. wait_seconds is an estimate from measured ticks, None before there are any."""

    position: int
    wait_seconds: float | None


@dataclass(frozen=True)
class Loading:
    """The job waits for its model, of which this share is in memory."""

    model: str
    progress: float


@dataclass(frozen=True)
class Started:
    """The engine has taken the job."""

    n: int


@dataclass(frozen=True, slots=True)  # a job has up to a thousand, and hundreds of jobs are remembered
class Stepped:
    """Every picture of the job has done step i of n. preview: uint8 [h,w,3] at most four times a second, else None."""

    i: int
    n: int
    t: float
    seconds_left: float
    preview: Pixels | None = field(compare=False, repr=False)


@dataclass(frozen=True)
class Done:
    """The pictures are on disk: a GenerateResult; of a lab's question, what its work returned."""

    result: Any


@dataclass(frozen=True)
class Failed:
    """This job alone failed; `client_error`: its request cannot be followed, whoever sends it again."""

    message: Sentence
    client_error: bool = False


@dataclass(frozen=True)
class Cancelled:
    """Stopped after step i of n; `waiting` where it had not started."""

    i: int
    n: int
    waiting: bool = False


@dataclass(frozen=True)
class Interrupted:
    """The process ends, and the next one runs this job again: it is written down."""


End = Done | Failed | Cancelled | Interrupted
Event = Queued | Loading | Started | Stepped | End
E = TypeVar("E")
T = TypeVar("T")
Work = Callable[["Pipeline"], Generator[Stepped, None, T]]
"""A lab's own question to a model: yields a Stepped a step and returns what Done will carry."""


@dataclass(frozen=True)
class Requester:
    """Who asks for a job, and how they mean to follow it."""

    client: str = ""  # whose it is; "": nobody's in particular
    account: str = ""  # the address, or API key, it came from: cookies can be made up
    user: str = ""  # whom a client with an API key asks for: each has a fair share of its own
    request_id: str = ""  # of the HTTP request that asked for it: the log names it
    durable: bool = False  # written down when accepted, and run again after a crash
    previews: bool = True  # whether anybody wants to see it form
    job_id: str = ""  # what it will be found by; "": drawn


@dataclass(eq=False)
class Job:
    """One request on its way. Events are only ever appended and stay in place, so each reader keeps its own cursor."""

    request: SamplingParams
    init_image: Pixels | None = None
    mask: Pixels | None = None
    work: Work[Any] | None = None  # None: make the pictures
    model: str = ""  # sha256 of the model it asks; "": the page's own
    requester: Requester = Requester()
    runtime: str = ""  # what executes the network for it, once it has started
    events: list[Event] = field(default_factory=list)
    cancelled: threading.Event = field(default_factory=threading.Event)
    interrupted: bool = False  # stopped because the process ends, and not because nobody wanted it
    deadline: float | None = None  # set while nobody watches: time.monotonic() at which it is given up
    created: float = field(default_factory=time.monotonic)
    _readers: list[Callable[[], None]] = field(default_factory=list, repr=False)
    _shown: int | None = None  # number of the event with the latest preview

    def __post_init__(self) -> None:
        self.id = self.requester.job_id or uuid.uuid4().hex

    @property
    def client(self) -> str:
        """Whose it is."""
        return self.requester.client

    @property
    def user(self) -> str:
        """Whom its client asks for."""
        return self.requester.user

    @property
    def done(self) -> bool:
        """Whether the last event there will ever be is in."""
        return bool(self.events) and isinstance(self.events[-1], End)

    def last(self, kind: type[E]) -> E | None:
        """The latest event of a kind."""
        return next((event for event in reversed(self.events) if isinstance(event, kind)), None)

    def emit(self, event: Event) -> None:
        """Append an event and wake whoever follows. Nothing comes after the end. Of previews only the latest stays."""
        if self.done:
            return
        self.events.append(event)
        if isinstance(event, Stepped) and event.preview is not None:
            shown, self._shown = self._shown, len(self.events) - 1
            if shown is not None and isinstance(overtaken := self.events[shown], Stepped):
                self.events[shown] = replace(overtaken, preview=None)
        for wake in list(self._readers):
            wake()

    def end(self, event: End) -> None:
        """Emit the last event."""
        self.emit(event)
        self.init_image = self.mask = None  # the job is remembered for late readers, its pictures are not

    def wanted(self) -> bool:
        """Whether anybody still waits for it."""
        deadline = self.deadline  # read once: somebody may come back between two looks
        return not self.cancelled.is_set() and (deadline is None or time.monotonic() < deadline)

    def stopped(self, i: int, n: int, waiting: bool = False) -> End:
        """Its end after step i of n, where it is not `wanted` any more."""
        if not self.interrupted:
            return Cancelled(i, n, waiting)
        return Interrupted() if self.requester.durable else Failed(Sentence("closing"))

    def wait(self) -> End:
        """Block until the job has ended; its last event."""
        ended = threading.Event()
        self._readers.append(ended.set)
        try:
            while not self.done:
                ended.wait()
                ended.clear()
        finally:
            self._readers.remove(ended.set)
        end = self.events[-1]
        assert isinstance(end, End)
        return end


async def follow(job: Job, cursor: int = 0) -> AsyncGenerator[tuple[int, Event], None]:
    """A job's events to its end, from event number `cursor` on, each with the number to go on from after it.

    A slow reader misses overtaken steps, never the last preview or the end.
    """
    loop, news = asyncio.get_running_loop(), asyncio.Event()

    def wake() -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(news.set)

    job._readers.append(wake)
    try:
        while True:
            news.clear()
            done = job.done  # before reading: what came in meanwhile is read in the next round
            events = list(enumerate(job.events[cursor:], cursor + 1))
            cursor += len(events)
            steps = [(k, e) for k, e in events if isinstance(e, Stepped)]
            last = steps[-1:] + [(k, e) for k, e in steps if e.preview is not None][-1:]
            kept = {k for k, _ in last}
            for number, event in events:
                if not isinstance(event, Stepped) or number in kept:
                    yield number, event
            if done:
                return
            if cursor == len(job.events):
                await news.wait()
    finally:
        job._readers.remove(wake)


def sentence(error: BaseException, otherwise: str = "not_made") -> Sentence:
    """An exception as one line for a person; of one that is not meant for people `otherwise` says where to look."""
    if isinstance(error, ParameterError):
        error = RequestError.of(error)
    if isinstance(error, RequestError):
        return error.sentence
    if isinstance(error, MemoryError):
        return Sentence("out_of_memory")
    if not for_people(error):
        return Sentence(otherwise, {"kind": type(error).__name__})
    text = (str(error).strip() or type(error).__name__).splitlines()[0]
    return Sentence("as_said", {"text": text if text.endswith(".") else f"{text}."})


def for_people(error: BaseException) -> bool:
    """Whether the error's own text is meant for the person who asked."""
    return isinstance(error, (ValueError, MemoryError))
