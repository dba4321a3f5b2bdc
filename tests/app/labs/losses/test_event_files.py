"""Runs of other programs: event files by TensorBoard's writer, read as it logged them or refused in a sentence."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.tensorboard import SummaryWriter

from app.i18n import LANGUAGES
from app.labs.losses.curves import curves_plot
from app.labs.losses.runs import Run, alive, find_runs, load_run, stamp
from app.schemas import RequestError
from ldm_core.shipped import EMOJI_128
from ldm_core.training.common.event_files import event_files
from ldm_core.training.common.metric_log import MetricLog


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LATENT_LAB_RUNS", str(tmp_path / "runs"))
    return tmp_path / "runs"


def written(folder: Path, steps: range = range(0, 50, 10), **options: object) -> Path:
    """One event file: `loss` is 1/(step+1), `new` its double in TensorFlow 2's spelling."""
    with SummaryWriter(str(folder), **options) as writer:
        for step in steps:
            writer.add_scalar("loss", 1.0 / (step + 1), step, walltime=1000.0 + 60.0 * step)
            writer.add_scalar("new", 2.0 / (step + 1), step, new_style=True)
        writer.add_text("notes", "not a curve")
        writer.add_histogram("weights", torch.randn(32), 0)
    return max(folder.glob("*tfevents*"), key=lambda path: path.stat().st_mtime_ns)


def run(name: str) -> Run:
    return load_run(name, find_runs(EMOJI_128))


def test_a_curve_is_what_the_writer_was_given(home: Path):
    written(home / "other")
    curves = run("other")
    assert set(curves) == {"loss", "new"}
    np.testing.assert_array_equal(curves["loss"].steps, [0, 10, 20, 30, 40])
    np.testing.assert_allclose(curves["loss"].values, 1.0 / (curves["loss"].steps + 1), rtol=1e-6)
    np.testing.assert_allclose(curves["new"].values, 2.0 * curves["loss"].values, rtol=1e-6)
    np.testing.assert_allclose(np.diff(curves["loss"].seconds), 600.0)
    plot = curves_plot({"other": curves}, ["loss"], "step", 0.0, True, "en")
    assert plot.summary == "other went from 1 to 0.02439."


def test_runs_are_named_as_tensorboard_names_them_and_a_table_comes_first(home: Path):
    for place in ("other", "sweep/lr-1", "."):
        written(home / place, range(1))
    (home / "mine").mkdir()
    log = MetricLog(home / "mine")
    log.log(1, 60.0, {"train/loss": 0.25})
    log.close()
    assert list((home / "mine" / "events").glob("*tfevents*"))
    found = [name for name in find_runs(EMOJI_128) if not name.startswith("emoji-128/")]
    assert found == ["mine", "runs", "other", "sweep/lr-1"]
    assert run("mine")["train/loss"].seconds.tolist() == [60.0]
    (home / "mine" / "metrics.csv").unlink()
    assert run("mine/events")["train/loss"].values.tolist() == [0.25]


def test_a_resumed_run_drops_what_was_logged_twice(home: Path):
    written(home / "other")
    written(home / "other", range(30, 60, 10), purge_step=30, filename_suffix=".2")
    assert run("other")["loss"].steps.tolist() == [0, 10, 20, 30, 40, 50]


def test_the_tenth_file_of_a_second_comes_after_the_ninth(tmp_path: Path):
    for k in (10, 9):
        (tmp_path / f"events.out.tfevents.1764500000.host.7.{k}").touch()
    assert [path.suffix for path in event_files(tmp_path)] == [".9", ".10"]


def test_a_half_written_last_record_is_left_out(home: Path):
    path = written(home / "other")
    path.write_bytes(path.read_bytes()[:-3])
    assert len(run("other")["loss"].steps) == 5


def test_a_damaged_file_is_one_sentence(home: Path):
    path = written(home / "other")
    sound = path.read_bytes()
    flipped = bytes(b ^ (i == len(sound) // 2) for i, b in enumerate(sound))
    for damaged in (flipped, b"\x89PNG\r\n\x1a\n" + bytes(64), sound[7:]):
        path.write_bytes(damaged)
        with pytest.raises(RequestError, match="An event file of other is damaged") as told:
            run("other")
        assert all("other" in told.value.sentence.says(lang) for lang in LANGUAGES)


def test_files_without_a_scalar_too_large_or_without_a_reader(home: Path, monkeypatch: pytest.MonkeyPatch):
    SummaryWriter(str(home / "empty")).close()
    with pytest.raises(RequestError, match="empty has logged nothing yet"):
        run("empty")
    written(home / "other")
    with monkeypatch.context() as patch, pytest.raises(RequestError, match="tensorboard, which reads them, is not"):
        patch.setitem(sys.modules, "tensorboard.compat.proto.event_pb2", None)
        run("other")
    monkeypatch.setattr("app.labs.losses.runs.MOST_EVENT_BYTES", 100)
    with pytest.raises(RequestError, match="at most 0 MiB"):
        run("other")


def test_a_run_that_is_going_is_noticed(home: Path):
    writer = SummaryWriter(str(home / "other"))
    writer.add_scalar("loss", 1.0, 0)
    writer.flush()
    before = stamp(["other"], find_runs(EMOJI_128))
    assert len(run("other")["loss"].steps) == 1
    writer.add_scalar("loss", 0.5, 1)
    writer.close()
    runs = find_runs(EMOJI_128)
    assert stamp(["other"], runs) != before and alive(["other"], runs)
    assert run("other")["loss"].values.tolist() == [1.0, 0.5]
    for path in (home / "other").iterdir():
        os.utime(path, (time.time() - 3600,) * 2)
    assert not alive(["other"], runs)
