"""The loop around any task: what it waits for, how its state is kept."""

from __future__ import annotations

import errno
import io
import os
import signal
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from unittest.mock import Mock

import pytest
from torch import nn

from ldm_core.training.common import state
from ldm_core.training.common.loop import Loop, make_accelerator, start
from ldm_core.training.common.settings import LoopSettings
from ldm_core.training.common.state import read_state
from ldm_core.training.common.task import Task


class Counting(Task):
    """Trains nothing."""

    def __init__(self, lacks: int | None = None) -> None:
        """lacks: the step that something is missing for."""
        self.networks, self.optimizers, self.averages = {"one": nn.Linear(1, 1)}, {}, {}
        self.lacks = lacks

    def missing(self, step: int) -> str | None:
        return "a chunk" if step == self.lacks else None

    def step(self, step: int) -> Mapping[str, float]:
        assert step != self.lacks
        return {"train/loss": 1.0}

    def validate(self, step: int) -> Mapping[str, float]:
        return {"val/loss": 1.0}


@dataclass(frozen=True)
class Settings:
    loop: LoopSettings = field(default_factory=lambda: LoopSettings(max_steps=1))
    about: str = ""


def loop(task: Task, directory: Path, settings: LoopSettings) -> Loop:
    return Loop(task, settings, directory, make_accelerator("no", "cpu"), tensorboard=False)


@pytest.mark.parametrize("end", ["signal", "minutes", "written"])
def test_who_waits_says_so_once_and_ends_as_ever(
    end: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    task, looks = Counting(lacks=2), []
    run = loop(task, tmp_path, LoopSettings(max_steps=4, minutes=60))

    def sleep(seconds: float) -> None:
        looks.append(seconds)
        if len(looks) == 3 and end == "signal":
            os.kill(os.getpid(), signal.SIGTERM)
        if len(looks) == 3 and end == "minutes":
            run.past_seconds += 3600
        if len(looks) == 3 and end == "written":
            task.lacks = None

    monkeypatch.setattr("ldm_core.training.common.loop.time.sleep", sleep)
    reached = 4 if end == "written" else 2
    assert run.run() == reached == read_state(tmp_path / "state.pt")["step"]
    assert len(looks) == 3 and [r.getMessage() for r in caplog.records] == ["waiting for a chunk"]


def test_a_full_disk_is_said_to_be_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    class Full(io.BytesIO):
        def write(self, _data: object) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

    run = loop(Counting(), tmp_path, LoopSettings(max_steps=1))
    monkeypatch.setattr(state, "replacing", lambda _path: nullcontext(Mock(open=lambda _mode: Full())))
    with pytest.raises(OSError) as error:
        run.run()
    assert error.value.errno == errno.ENOSPC


def test_another_run_of_the_name_keeps_its_settings(tmp_path: Path):
    accelerator = make_accelerator("no", "cpu")
    start(Counting(), Settings(about="the first"), tmp_path, accelerator).run()
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    other = Counting()
    other.networks = {"one": nn.Linear(2, 1)}
    with pytest.raises(ValueError, match="is of a run with other settings"):
        start(other, Settings(about="mistyped"), tmp_path, accelerator)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_a_step_is_saved_before_it_is_validated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    task, soon = Counting(), 1e-9
    monkeypatch.setattr(task, "validate", Mock(side_effect=RuntimeError("a fault")))
    with pytest.raises(RuntimeError, match="a fault"):
        loop(task, tmp_path, LoopSettings(max_steps=9, save_minutes=soon, validate_minutes=soon)).run()
    assert read_state(tmp_path / "state.pt")["step"] == 1
