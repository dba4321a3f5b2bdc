"""Rows: pictures on their way through the sampler; which of them are answered in the next call."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Collection, Hashable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar

from app.engine.costs import MOST_ROWS, Costs
from app.engine.job import Job
from ldm_core.images import Pixels

if TYPE_CHECKING:
    from ldm_core.pipeline import Pipeline

Kind = Literal["denoise", "decode"]
PIXELS: Mapping[Kind, int] = {"denoise": 4_194_304, "decode": 1_048_576}  # of one call; one picture is always answered
ROWS: Mapping[Kind, int] = {"denoise": MOST_ROWS, "decode": 16}  # a call's memory stays, and more decode no faster
SHARE = 0.8  # of its fair share of time that a client is sure of; the rest is for decoding and previews


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
    finished: bool  # the final latent is there
    error: Exception | None  # why it cannot go on


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
        """One network call; then every row goes on to its next question or its end, or has an `error`."""

    def decode(self, rows: Sequence[R]) -> Sequence[Pixels]:
        """Finished rows → uint8 [H,W,3] each."""

    def preview(self, rows: Sequence[R]) -> Sequence[Pixels]:
        """What the rows' pictures may become, uint8 [h,w,3] each, small."""


class Pool(Protocol):
    """The models beside the one that jobs ask who name none; by sha256."""

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
    left = {name: list(rows) for name, rows in lines.items() if rows}
    alone = {
        name: SHARE * len(left) * _seconds(kind, _fitting(kind, rows, costs), costs) for name, rows in left.items()
    }
    account = {name: served[name] for name in left}
    calls: dict[Hashable, list[Row]] = defaultdict(list)
    taken: set[str] = set()
    while left:
        name = min(left, key=account.__getitem__)
        row = left[name].pop(0)
        if not left[name]:
            del left[name]
        if not fits(kind, calls[row.key], row, costs):
            continue
        calls[row.key].append(row)
        longest = min((alone[other] for other in taken if other != name), default=0.0)
        if longest and _seconds(kind, calls, costs) > longest:
            calls[row.key].pop()
            left.pop(name, None)
            continue
        taken.add(name)
        account[name] += costs.predict((kind, row.key), row.terms) or 1e-3
    return [rows for rows in calls.values() if rows]


def fits(kind: Kind, rows: Sequence[Row], row: Row, costs: Costs) -> bool:
    """Whether one more row pays and has room in a call. The first always has."""
    size = sum(units(kind, other) for other in (*rows, row))
    pixels = sum(other.pixels for other in (*rows, row))
    return not rows or (size <= min(costs.limit((kind, row.key)), ROWS[kind]) and pixels <= PIXELS[kind])


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


def units(kind: Kind, row: Row) -> int:
    """How many rows of a network's batch a row is."""
    return row.terms if kind == "denoise" else 1


def _fitting(kind: Kind, rows: Sequence[Row], costs: Costs) -> dict[Hashable, list[Row]]:
    calls: dict[Hashable, list[Row]] = defaultdict(list)
    for row in rows:
        if fits(kind, calls[row.key], row, costs):
            calls[row.key].append(row)
    return calls


def _seconds(kind: Kind, calls: Mapping[Hashable, Sequence[Row]], costs: Costs) -> float:
    return sum(costs.predict((kind, key), sum(units(kind, r) for r in rows)) for key, rows in calls.items())
