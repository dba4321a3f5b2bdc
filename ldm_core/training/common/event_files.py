"""Scalars out of TensorBoard event files, by TensorBoard's own reader; rows as `read_metrics` gives them."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

Row = tuple[int, str, float, float]  # step, name, value, seconds
DIGITS = re.compile(r"(\d+)")


def event_files(directory: Path) -> list[Path]:
    """The event files that lie in a directory itself, oldest first: their names say when, and count within a second."""
    paths = (path for path in directory.glob("*tfevents*") if path.is_file())
    return sorted(paths, key=lambda path: [int(part) if part.isdecimal() else part for part in DIGITS.split(path.name)])


def read_events(files: Sequence[Path]) -> list[Row]:
    """Every scalar of one run's event files, in the order written; seconds count from the first event.

    A run that was resumed says so (SessionLog.START), and what it had logged from that step on is dropped. A
    half-written last record is left out. ValueError for a damaged file, ModuleNotFoundError without tensorboard.
    """
    from tensorboard.compat.proto.event_pb2 import SessionLog

    rows: list[Row] = []
    scalars: set[str] = set()  # a writer says only once what a name stands for
    begin = math.inf
    for event in (event for path in files for event in _events(path)):
        begin = min(begin, event.wall_time)
        if event.session_log.status == SessionLog.START:
            rows = [row for row in rows if row[0] < event.step]
        for value in event.summary.value:
            if value.metadata.plugin_data.plugin_name == "scalars":
                scalars.add(value.tag)
            number = _number(value, value.tag in scalars)
            if number is not None:
                rows.append((event.step, value.tag, number, event.wall_time - begin))
    return rows


def _number(value: Any, scalar: bool) -> float | None:
    """A summary's value: torch writes a plain number, TensorFlow 2 a tensor that is called a scalar."""
    if value.HasField("simple_value"):
        return float(value.simple_value)
    if not scalar or not value.HasField("tensor"):
        return None
    from tensorboard.util.tensor_util import make_ndarray

    return float(make_ndarray(value.tensor).item())


def _events(path: Path) -> Iterator[Any]:
    from google.protobuf.message import DecodeError
    from tensorboard.compat.proto.event_pb2 import Event

    for record in _records(path):
        try:
            yield Event.FromString(record)
        except DecodeError as error:
            raise ValueError(f"{path} holds a record that is no event") from error


def _records(path: Path) -> Iterator[bytes]:
    """The records of a file. TensorBoard's loaders stop at a wrong checksum in silence, its record reader raises."""
    from tensorboard.compat.tensorflow_stub.errors import DataLossError, OutOfRangeError
    from tensorboard.compat.tensorflow_stub.pywrap_tensorflow import PyRecordReader_New

    reader = PyRecordReader_New(str(path))
    with reader.file_handle:
        while True:
            try:
                reader.GetNext()
            except OutOfRangeError:
                return
            except DataLossError as error:
                if "truncated" in error.message:  # still being written
                    return
                raise ValueError(f"{path} is damaged: {error.message}") from error
            yield reader.record()
