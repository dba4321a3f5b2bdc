"""What network calls have cost: how many rows pay in one call, and how long a call will take."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable
from dataclasses import dataclass, field
from statistics import median

GAIN = 0.95  # rows are added while seconds per row fall at least to this
SAMPLES = 3  # measurements before a row count is judged
KEPT = 9  # measurements of a row count that are remembered
STALE = 256  # calls after which the next larger count is tried again: the machine may have been busy
MOST_ROWS = 64


@dataclass
class _Measured:
    seconds: deque[float] = field(default_factory=lambda: deque(maxlen=KEPT))
    at: int = 0  # the call it was last measured in


class Costs:
    """Measured seconds of calls by kind of call (`key`: what is asked, at which shape) and by rows in it."""

    def __init__(self) -> None:
        self._measured: dict[Hashable, dict[int, _Measured]] = {}
        self._most: dict[Hashable, tuple[int, int]] = {}  # rows where memory has run out, and in which call
        self._calls = 0

    def note(self, key: Hashable, rows: int, seconds: float) -> None:
        """A call of `rows` rows took `seconds`."""
        self._calls += 1
        measured = self._measured.setdefault(key, {}).setdefault(_bucket(rows), _Measured())
        measured.seconds.append(seconds / rows)
        measured.at = self._calls

    def full(self, key: Hashable, rows: int) -> None:
        """Memory ran out at `rows` rows: half of them are the most for now."""
        self._most[key] = max(1, rows // 2), self._calls

    def limit(self, key: Hashable) -> int:
        """Rows the next call may have: the largest power of two that has paid, or the next one while it is unknown.

        One that does not pay is passed over once: on two cores four rows may cost twice what two do, and eight less.
        """
        most = self._in_memory(key)
        paying, least = 2, self._per_row(key, 2)
        if least is None:
            return min(paying, most)
        rows, misses = 2 * paying, 0
        while rows <= most and misses < 2:
            cost = self._per_row(key, rows)
            if cost is None or self._stale(key, rows, cost > GAIN * least):
                return rows
            if cost <= GAIN * least:
                paying, least, misses = rows, cost, 0
            else:
                misses += 1
            rows *= 2
        return min(paying, most)

    def predict(self, key: Hashable, rows: int) -> float:
        """Seconds of a call of `rows` rows, from the nearest count measured; 0 where nothing is known."""
        measured = {b: m for b, m in self._measured.get(key, {}).items() if m.seconds}
        if not measured or rows < 1:
            return 0.0
        below = [b for b in measured if b <= _bucket(rows)]
        return rows * median(measured[max(below) if below else min(measured)].seconds)

    def _in_memory(self, key: Hashable) -> int:
        """Rows that memory holds. Twice as many as it last held are tried after a while: what filled it may be gone."""
        most, at = self._most.get(key, (MOST_ROWS, self._calls))
        if self._calls - at > STALE:
            most = min(2 * most, MOST_ROWS)
            self._most[key] = most, self._calls
        return most

    def _per_row(self, key: Hashable, rows: int) -> float | None:
        """The least of the last seconds per row: what a busy machine adds says nothing about the rows."""
        measured = self._measured.get(key, {}).get(rows)
        enough = measured is not None and len(measured.seconds) >= SAMPLES
        return min(measured.seconds) if measured is not None and enough else None

    def _stale(self, key: Hashable, rows: int, refused: bool) -> bool:
        """Whether a count that did not pay was measured so long ago that it is measured again."""
        measured = self._measured[key][rows]
        if stale := refused and self._calls - measured.at > STALE:
            measured.seconds.clear()
        return stale


def _bucket(rows: int) -> int:
    """The power of two that `rows` rows come closest to filling: 1, 2, 4, …"""
    return 1 << max(0, (rows * 4 // 3).bit_length() - 1)
