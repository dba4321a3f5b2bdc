"""Training runs as curves: the embedded model's own, and those in the folder of runs. Needs no torch."""

from __future__ import annotations

import csv
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from app.labs.plot import Values
from app.schemas import RequestError
from ldm_core.training.metrics import HEADER, read_metrics
from ldm_core.training.settings import runs_dir

ALIVE_SECONDS = 120.0  # a run that has logged nothing for so long has ended, or nobody waits for it
BIN = "val/bin_"


@dataclass(frozen=True, eq=False)
class Curve:
    """One logged value: steps, values, seconds of training time, [n] each, in the order they were logged."""

    steps: Values
    values: Values
    seconds: Values


Run = Mapping[str, Curve]  # name of a metric → its curve


def find_runs(weights: Path, page: Path | None = None) -> dict[str, Path]:
    """The metrics files there are by the name of their run: those beside the weights first, as "weights/part".

    `page`: a folder of further runs, those started in the page.
    """
    shipped = sorted((weights.parent / "metrics").glob("*.csv"))
    folders = [runs_dir()] if page is None else [page, runs_dir()]
    own = [path for folder in folders for path in sorted(folder.glob("*/metrics.csv"))]
    return {f"{weights.stem}/{path.stem}": path for path in shipped} | {path.parent.name: path for path in own}


def load_run(name: str, runs: Mapping[str, Path]) -> Run:
    """The run of that name. RequestError where there is none or its file is damaged."""
    path = runs.get(name)
    try:
        if path is None:
            raise FileNotFoundError(name)
        stat = path.stat()
    except OSError as error:
        raise RequestError("fault_no_run", name=name) from error
    return _read(name, path, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=32)
def _read(name: str, path: Path, _changed: int, _size: int) -> Run:
    """What lies between `_changed` and `_size` is read once; a half-written last line is left out."""
    try:
        with path.open(encoding="utf-8") as file:
            if file.readline().rstrip("\n") != ",".join(HEADER):
                raise ValueError(f"{path} does not begin with {HEADER}")
        rows = read_metrics(path)
    except (OSError, ValueError, csv.Error) as error:
        raise RequestError("fault_metrics", name=name) from error
    if not rows:
        raise RequestError("fault_metrics_empty", name=name)
    names = dict.fromkeys(metric for _, metric, _, _ in rows)
    table = {metric: np.array([(s, v, at) for s, m, v, at in rows if m == metric], dtype=float) for metric in names}
    return {metric: Curve(*columns.T) for metric, columns in table.items()}


def metrics_of(runs: Iterable[Run]) -> list[str]:
    """The names of every curve in any of the runs; those of the timestep bins have a plot of their own."""
    names = dict.fromkeys(name for run in runs for name in run if not name.startswith(BIN))
    return sorted(names, key=lambda name: ("/" not in name, name))


def stamp(names: Iterable[str], runs: Mapping[str, Path]) -> str:
    """Changes whenever one of the files does."""
    stats = [(name, runs[name].stat()) for name in names if name in runs and runs[name].exists()]
    return " ".join(f"{name}:{stat.st_mtime_ns}:{stat.st_size}" for name, stat in stats)


def alive(names: Iterable[str], runs: Mapping[str, Path]) -> bool:
    """Whether one of the files has grown lately."""
    times = [runs[name].stat().st_mtime for name in names if name in runs and runs[name].exists()]
    return any(time.time() - changed < ALIVE_SECONDS for changed in times)


def smoothed(values: Values, weight: float) -> Values:
    """Exponential mean with `weight` in [0,1) on the past, without its pull to 0 at the start (Kingma & Ba 2015, §3).

    Values that are not finite stay as they are and are left out of the mean.
    """
    out, mean, total = values.copy(), 0.0, 0.0
    for i in np.flatnonzero(np.isfinite(values)):
        mean = weight * mean + (1.0 - weight) * values[i]
        total = weight * total + (1.0 - weight)
        out[i] = mean / total
    return out
