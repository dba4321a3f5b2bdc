"""A metric: a value, what real drawings get, and the target."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ldm_core.images import Pixels


@dataclass(frozen=True)
class Metric:
    """One measured value. `real` is the same measure of real drawings; a target may be a share of it."""

    name: str
    value: float
    n: int  # drawings, pictures or words behind it
    real: float | None = None
    target: float | None = None
    of_real: bool = False  # the target is a share of `real`
    at_most: bool = False  # less is better
    note: str = ""

    @property
    def share(self) -> float | None:
        """Of what real drawings get; None where that is unknown or nothing."""
        return self.value / self.real if self.real else None

    @property
    def met(self) -> bool | None:
        """Whether the target is reached; None without one, or where real drawings get nothing."""
        reached = self.share if self.of_real else self.value
        if self.target is None or reached is None:
            return None
        return reached <= self.target if self.at_most else reached >= self.target

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        found = {"name": self.name, "value": self.value, "n": self.n, "real": self.real, "share_of_real": self.share}
        return found | {"target": self.target, "target_is_share": self.of_real, "met": self.met, "note": self.note}


@dataclass(frozen=True)
class Part:
    """What one part of an evaluation found: metrics, further details for the JSON, pictures [H,W,3] to look at."""

    metrics: list[Metric] = field(default_factory=list)
    details: dict[str, Any] = field(default_factory=dict)
    sheets: dict[str, Pixels] = field(default_factory=dict)


HEADER = ("metric", "value", "n", "real drawings", "share of real", "target", "met", "note")


def table(metrics: list[Metric]) -> str:
    """Figures as aligned lines, a header first."""
    rows = [HEADER, *(_row(f) for f in metrics)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(HEADER))]
    return "\n".join("  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows)


def _row(f: Metric) -> tuple[str, ...]:
    sign = "≤" if f.at_most else "≥"
    target = "" if f.target is None else f"{sign} {f.target:g}{' of real' if f.of_real else ''}"
    met = {True: "yes", False: "no", None: ""}[f.met]
    return f.name, number(f.value), str(f.n), number(f.real), number(f.share), target, met, f.note


def number(value: float | None) -> str:
    """Three digits behind the point, two where there are tens; '' for None."""
    return "" if value is None else f"{value:.2f}" if abs(value) >= 10 else f"{value:.3f}"
