"""Rows: pictures on their way through the sampler; which of them are answered in the next call."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar

from app.engine.costs import MOST_ROWS, Costs
from app.engine.job import Job
from ldm_core.images import Pixels

if TYPE_CHECKING:
    from ldm_core.pipeline import Pipeline

Kind = Literal["denoise", "decode"]
PIXELS: Mapping[Kind, int] = {"denoise": 4_194_304, "decode": 1_048_576}  # of one call; one picture is always answered
ROWS: Mapping[Kind, int] = {"denoise": MOST_ROWS, "decode": 16}  # a call's memory stays, and more decode no faster
SHARE = 0.8  # of its fair share that a client is guaranteed for denoising; decoding and previews use the rest


class Row(Protocol):
    """One picture of a job. Rows of one `key` (model, latent shape, context length) can be answered in one call."""

    job: Job
    index: int  # which of the job's pictures
    key: Hashable
    terms: int  # rows of the network's batch: 2 with guidance
    pixels: int  # height × width
    i: int  # steps done, of n
    n: int
    t: float
    error: Exception | None  # why it cannot go on

    @property
    def finished(self) -> bool:
        """The final latent is there."""


class StartedAgain(Exception):
    """What executed the network broke: the rows asked about are at their beginning again, on something else."""


R = TypeVar("R")


class Model(Protocol[R]):
    """What the engine asks of a loaded model, always from its own thread. `answer` and `decode` raise StartedAgain."""

    @property
    def pipe(self) -> Pipeline:
        """What labs' questions are handed."""

    def prepare(self, job: Job) -> Sequence[R]:
        """Encode prompts and pictures: a row for each of the job's pictures. ValueError for what cannot be."""

    def answer(self, rows: Sequence[R]) -> None:
        """One network call; then every row goes on to its next input or its end, or has an `error`."""

    def decode(self, rows: Sequence[R]) -> Sequence[Pixels]:
        """Finished rows → uint8 [H,W,3] each."""

    def preview(self, rows: Sequence[R]) -> Sequence[Pixels]:
        """What the rows' pictures may become, uint8 [h,w,3] each, small."""

    def is_lost(self, error: Exception) -> bool:
        """Whether after this error nothing can be made in this process any more."""


class Models(Protocol):
    """The models an engine asks, by sha256; "" is the one of jobs that name none, which is always in memory."""

    def model(self, sha256: str) -> Model[Any]:
        """One that is in memory."""

    def admit(self, waiting: Sequence[Job], busy: Collection[str]) -> Callable[[Job], bool]:
        """Which waiting jobs may start while jobs of `busy` models run; others' models are loaded as room is made."""

    def progress(self, sha256: str) -> tuple[str, float] | None:
        """Name and share of a model that is being loaded."""

    def fault(self, sha256: str) -> Exception | None:
        """Why a model could not be loaded; told once."""


def pick(kind: Kind, lines: Mapping[str, list[Row]], served: Mapping[str, float], costs: Costs) -> list[list[Row]]:
    """Rows for the next calls, one list a call; `lines` are the clients' rows in their order.

    The client served least gives the first row, and so on as if each row had been charged. A call is full when more
    rows would not pay or would not fit; and where one client's rows would make another's tick longer than the number
    of clients times what it takes alone, they wait: nobody gets less than a fair share of time.
    """
    left = {name: deque(rows) for name, rows in lines.items() if rows}
    allowed = {name: SHARE * len(left) * _seconds_alone(kind, rows, costs) for name, rows in left.items()}
    account = {name: served[name] for name in left}
    plan, taken = CallPlan(kind, costs), set[str]()
    while left:
        name = min(left, key=account.__getitem__)
        row = left[name].popleft()
        if not left[name]:
            del left[name]
        if not plan.fits(row):
            continue
        longest = min((allowed[other] for other in taken if other != name), default=0.0)
        if 0 < longest < plan.seconds_with(row):
            left.pop(name, None)
            continue
        plan.add(row)
        taken.add(name)
        account[name] += costs.predict((kind, row.key), row.terms) or 1e-3
    return list(plan.calls.values())


class CallPlan:
    """The calls of a tick while they fill, one for every `key`."""

    def __init__(self, kind: Kind, costs: Costs) -> None:
        self._kind, self._costs = kind, costs
        self.calls: dict[Hashable, list[Row]] = {}
        self._sizes, self._pixels = Counter[Hashable](), Counter[Hashable]()  # of each call

    def fits(self, row: Row) -> bool:
        """Whether one more row pays and has room in its call. The first always has."""
        if row.key not in self.calls:
            return True
        most = min(self._costs.limit((self._kind, row.key)), ROWS[self._kind])
        pixels = self._pixels[row.key] + row.pixels
        return self._sizes[row.key] + batch_rows(self._kind, row) <= most and pixels <= PIXELS[self._kind]

    def seconds_with(self, row: Row | None = None) -> float:
        """What the calls will take, with one more row where it is given."""
        sizes = self._sizes.copy()
        if row is not None:
            sizes[row.key] += batch_rows(self._kind, row)
        return sum(self._costs.predict((self._kind, key), size) for key, size in sizes.items())

    def add(self, row: Row) -> None:
        """Answer this row too."""
        self.calls.setdefault(row.key, []).append(row)
        self._sizes[row.key] += batch_rows(self._kind, row)
        self._pixels[row.key] += row.pixels


def _seconds_alone(kind: Kind, rows: Iterable[Row], costs: Costs) -> float:
    """What a tick of these rows alone takes."""
    plan = CallPlan(kind, costs)
    for row in rows:
        if plan.fits(row):
            plan.add(row)
    return plan.seconds_with()


def halving(
    rows: Sequence[Row], question: Callable[[Sequence[Row]], None], alive: Callable[[Row], bool]
) -> Iterator[tuple[Sequence[Row], float, Exception | None]]:
    """Ask about all rows in one call; where it fails, about each half, down to the row that fails alone.

    Yields each call's rows with its seconds, or with its error. Rows that are not `alive` by then are left out: a job
    that has failed with one row has no use for the others.
    """
    rows = [row for row in rows if alive(row)]
    if not rows:
        return
    start, fault = time.monotonic(), None
    try:
        question(rows)
    except StartedAgain:
        return
    except Exception as error:
        fault = error
    yield rows, time.monotonic() - start, fault
    if fault is not None and len(rows) > 1:
        for half in (rows[: len(rows) // 2], rows[len(rows) // 2 :]):
            yield from halving(half, question, alive)


def batch_rows(kind: Kind, row: Row) -> int:
    """How many rows of a network's batch a row is."""
    return row.terms if kind == "denoise" else 1
