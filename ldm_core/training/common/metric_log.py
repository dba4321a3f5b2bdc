"""The metric log: one long-format CSV the lab reads, and TensorBoard events beside it."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TextIO

HEADER = ("step", "name", "value", "seconds")


class MetricLog:
    """Appends rows `step,name,value,seconds` to metrics.csv; rows past the resumed step are dropped first."""

    def __init__(self, directory: Path, step: int = 0, tensorboard: bool = True) -> None:
        self.path = directory / "metrics.csv"
        kept = [row for row in read_metrics(self.path) if row[0] <= step] if self.path.exists() else []
        with self.path.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file, lineterminator="\n").writerows([HEADER, *(_row(*row) for row in kept)])
        self._file: TextIO = self.path.open("a", newline="", encoding="utf-8")
        self._csv = csv.writer(self._file, lineterminator="\n")
        self._events = None
        if tensorboard and find_spec("tensorboard"):  # not among the runtime requirements
            from torch.utils.tensorboard import SummaryWriter

            self._events = SummaryWriter(str(directory / "events"), purge_step=step + 1)

    def log(self, step: int, seconds: float, values: Mapping[str, float]) -> None:
        """One row a value; flushed, so that a killed run loses nothing."""
        for name, value in values.items():
            self._csv.writerow(_row(step, name, value, seconds))
            if self._events:
                self._events.add_scalar(name, value, step)
        self._file.flush()

    def close(self) -> None:
        """Close both files."""
        self._file.close()
        if self._events:
            self._events.close()


def read_metrics(path: Path) -> list[tuple[int, str, float, float]]:
    """Rows (step, name, value, seconds) of a metrics.csv; a half-written last line is left out."""
    rows = []
    with path.open(newline="", encoding="utf-8") as file:
        for row in csv.reader(file):
            if len(row) == len(HEADER) and row[0] != "step":
                rows.append((int(row[0]), row[1], float(row[2]), float(row[3] or 0)))
    return rows


def _row(step: int, name: str, value: float, seconds: float) -> tuple[str, str, str, str]:
    return str(step), name, f"{value:.6g}", f"{seconds:.1f}"
