"""Training runs as curves: the embedded model's own, and those in the folder of runs. Needs no torch."""

from __future__ import annotations

import csv
import os
import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from app.i18n import say
from app.labs.common.plot import Values
from app.schemas import RequestError
from ldm_core.training.common.event_files import Row, event_files, read_events
from ldm_core.training.common.metric_log import HEADER, read_metrics
from ldm_core.training.common.settings import runs_dir

ALIVE_SECONDS = 120.0  # a run that has logged nothing for so long has ended, or nobody waits for it
MOST_EVENT_BYTES = 32 << 20  # read within a few seconds
BIN = "val/bin_"
PAGE_PREFIX = "page-"  # of the names of runs started in the page


@dataclass(frozen=True, eq=False)
class Curve:
    """One logged value: steps, values, seconds of training time, [n] each, in the order they were logged."""

    steps: Values
    values: Values
    seconds: Values


Run = Mapping[str, Curve]  # name of a metric → its curve


def find_runs(weights: Path, page: Path | None = None) -> dict[str, Path]:
    """What there is to read by the name of its run: those beside the weights first, as "weights/part".

    A path is a metrics.csv or, where a run has none, the directory its TensorBoard event files lie in, named as
    TensorBoard names it. `page`: a folder of further runs, those started in the page.
    """
    beside = sorted((weights.parent / "metrics").glob("*.csv"), key=lambda path: path.stem)
    shipped = {f"{weights.stem}/{path.stem}": path for path in beside}
    folders = [runs_dir()] if page is None else [page, runs_dir()]
    tables = {path.parent.name: path for folder in folders for path in sorted(folder.glob("*/metrics.csv"))}
    events = {name: path for folder in folders for name, path in _event_runs(folder).items()}
    return shipped | tables | events


def _event_runs(root: Path) -> dict[str, Path]:
    """Directories of event files at any depth; those in or beneath a run with a table hold what the table says."""
    runs: dict[str, Path] = {}
    for path in sorted({file.parent for file in root.rglob("*tfevents*")}):
        place = path.relative_to(root)
        if not any((root / part / "metrics.csv").exists() for part in place.parts[:1]):
            runs[root.name if path == root else place.as_posix()] = path
    return runs


def run_title(name: str, lang: str) -> str:
    """What a person calls the run of this name: one of the page by its time, one beside the weights by its part."""
    if (started := re.fullmatch(rf"{PAGE_PREFIX}(\d\d)(\d\d)-(\d\d)(\d\d)\d\d", name)) is not None:
        month, day, hour, minute = started.groups()
        return say(lang, "run_of_page", day=f"{month}-{day}", time=f"{hour}:{minute}")
    return name.replace("/", " · ")


def load_run(name: str, runs: Mapping[str, Path]) -> Run:
    """The run of that name. RequestError where there is none, or it cannot be read."""
    path = runs.get(name)
    seen = "" if path is None else _stamp(path)
    if path is None or not seen:
        raise RequestError("fault_no_run", name=name)
    return _read(name, path, seen)


@lru_cache(maxsize=32)
def _read(name: str, path: Path, _seen: str) -> Run:
    """What its files hold is read once, as long as they stay as they were seen."""
    rows = _event_rows(name, path) if path.is_dir() else _table_rows(name, path)
    if not rows:
        raise RequestError("fault_metrics_empty", name=name)
    table: dict[str, list[tuple[float, float, float]]] = {}
    for step, metric, value, seconds in rows:
        table.setdefault(metric, []).append((step, value, seconds))
    return {metric: Curve(*np.array(logged, dtype=float).T) for metric, logged in table.items()}


def _table_rows(name: str, path: Path) -> list[Row]:
    try:
        with path.open(encoding="utf-8") as file:
            if file.readline().rstrip("\n") != ",".join(HEADER):
                raise ValueError(f"{path} does not begin with {HEADER}")
        return read_metrics(path)
    except (OSError, ValueError, csv.Error) as error:
        raise RequestError("fault_metrics", name=name) from error


def _event_rows(name: str, path: Path) -> list[Row]:
    files = event_files(path)
    size = sum(file.stat().st_size for file in files)
    if size > MOST_EVENT_BYTES:
        raise RequestError("fault_events_size", name=name, size=size >> 20, most=MOST_EVENT_BYTES >> 20)
    try:
        return read_events(files)
    except ModuleNotFoundError as error:
        raise RequestError("fault_no_tensorboard", name=name) from error
    except (OSError, ValueError) as error:
        raise RequestError("fault_events", name=name) from error


def metrics_of(runs: Iterable[Run]) -> list[str]:
    """The names of every curve in any of the runs; those of the timestep bins have a plot of their own."""
    names = dict.fromkeys(name for run in runs for name in run if "/bin_" not in name)
    return sorted(names, key=lambda name: ("/" not in name, name))


def stamp(names: Iterable[str], runs: Mapping[str, Path]) -> str:
    """Changes whenever one of the files does."""
    return " ".join(f"{name}:{_stamp(runs[name])}" for name in names if name in runs)


def _stamp(path: Path) -> str:
    """Of one run; empty where nothing is left of it."""
    return " ".join(f"{seen.st_mtime_ns}:{seen.st_size}" for seen in _stats(path))


def _stats(path: Path) -> list[os.stat_result]:
    """Of the files of a run."""
    return [file.stat() for file in (event_files(path) if path.is_dir() else [path]) if file.exists()]


def alive(names: Iterable[str], runs: Mapping[str, Path]) -> bool:
    """Whether one of the files has grown lately."""
    times = [seen.st_mtime for name in names if name in runs for seen in _stats(runs[name])]
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
