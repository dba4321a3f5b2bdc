"""One specification of a plot. The screen, PNG and SVG files, the table and the sentence are all made from it."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]
Kind = Literal["line", "steps", "dots", "bars"]

# Okabe & Ito (2008): apart for every kind of colour vision; yellow is left out, nobody sees it on white.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#777777")
DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot", "solid")


@dataclass(frozen=True)
class Axis:
    """What a direction of a plot means: symbol and unit in the label."""

    label: str
    log: bool = False
    range: tuple[float, float] | None = None  # None: what the values need
    ticks: tuple[str, ...] = ()  # names for 0, 1, 2 … instead of the numbers


@dataclass(frozen=True, eq=False)
class Series:
    """Values over places, [n] each; `style` picks colour and dash, so that one thing looks alike in every plot."""

    name: str
    x: Values
    y: Values
    style: int = 0
    kind: Kind = "line"

    def __post_init__(self) -> None:
        if self.x.shape != self.y.shape or self.x.ndim != 1:
            raise ValueError(f"series {self.name!r} has x of shape {self.x.shape} and y of shape {self.y.shape}")

    @property
    def colour(self) -> str:
        """Of the palette, by style; it begins again after the last."""
        return COLOURS[self.style % len(COLOURS)]

    @property
    def dash(self) -> str:
        """Tells lines apart without their colours."""
        return DASHES[self.style % len(DASHES)]


@dataclass(frozen=True, eq=False)
class Heat:
    """Values [ny,nx] over columns x [nx] and rows y [ny], coloured from dark (low) to light (high)."""

    x: Values
    y: Values
    values: Values
    label: str
    square: bool = False  # rows and columns are places of a picture

    def __post_init__(self) -> None:
        if self.values.shape != (len(self.y), len(self.x)):
            raise ValueError(f"heat map of shape {self.values.shape} over {len(self.y)} rows, {len(self.x)} columns")


@dataclass(frozen=True)
class Mark:
    """A vertical line: where a slider stands, or where something crosses."""

    at: float
    label: str = ""


@dataclass(frozen=True, eq=False)
class Plot:
    """Series (or a heat map) over two axes; `summary` is the one sentence that says what is to be seen.

    `formula` is LaTeX without dollars, `source` the name of the function that computed the values.
    """

    title: str
    x: Axis
    y: Axis
    series: tuple[Series, ...] = ()
    heat: Heat | None = None
    marks: tuple[Mark, ...] = ()
    summary: str = ""
    formula: str = ""
    source: str = ""

    def table(self) -> tuple[list[str], list[list[float | None]]]:
        """Header and rows over the union of all x; None where a series has no value there."""
        if self.heat is not None:
            h = self.heat
            rows: list[list[float | None]] = [[y, *map(float, row)] for y, row in zip(h.y, h.values, strict=True)]
            return [f"{self.y.label} \\ {self.x.label}", *(f"{x:g}" for x in h.x)], rows
        places = np.unique(np.concatenate([s.x for s in self.series])) if self.series else np.zeros(0)
        columns = [dict(zip(map(float, s.x), map(float, s.y), strict=True)) for s in self.series]
        return (
            [self.x.label, *(s.name for s in self.series)],
            [[float(x), *(column.get(float(x)) for column in columns)] for x in places],
        )

    def csv(self) -> str:
        """The table as comma-separated values, full precision."""
        header, rows = self.table()
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(["" if v is None else repr(v) for v in row] for row in rows)
        return out.getvalue()


def crossing(x: Values, y: Values, level: float) -> float | None:
    """The first place where y passes level, between two points by a straight line; None where it never does."""
    above = y >= level
    changes = np.flatnonzero(above[1:] != above[:-1])
    if not len(changes):
        return None
    i = int(changes[0])
    share = (level - y[i]) / (y[i + 1] - y[i])
    return float(x[i] + share * (x[i + 1] - x[i]))
