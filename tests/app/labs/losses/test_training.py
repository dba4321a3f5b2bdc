"""Training from the page: the shipped drawings, one run at a time, a real process that is stopped."""

from __future__ import annotations

from pathlib import Path

import gradio as gr
import numpy as np
import pytest

from app.labs.common.shared_results import SharedResults
from app.labs.losses import training as train
from app.labs.losses.panels import LAB
from app.labs.losses.panels import training as panel_module
from app.labs.losses.training import DRAWINGS, Plan, Training, command, unpacked
from app.schemas import RequestError
from app.service import Service
from app.settings import Settings
from app.ui.lab_tab import LabTab
from app.widgets.translation import Translation
from ldm_core.data.corpus import Corpus
from tests.app.serving import until


def test_the_shipped_drawings_are_a_corpus(tmp_path: Path):
    corpus = Corpus(unpacked(tmp_path))
    assert len(corpus) >= 500 and DRAWINGS.stat().st_size <= 4_000_000
    assert len(corpus.heldout) == 24 and len(corpus.sample(np.random.default_rng(0), 5)) == 5
    assert corpus.drawings.shape == (len(corpus), 128, 128, 4) and (corpus.drawings[..., 3] > 0).any(axis=(1, 2)).all()
    assert "licence Apache-2.0" in (corpus.path / "ATTRIBUTION.md").read_text()


@pytest.mark.parametrize(("steps", "disc_start"), [(19, 0), (1001, 0), (100, -1)])
def test_plans_are_bounded(steps: int, disc_start: int):
    with pytest.raises(RequestError):
        Plan(steps, disc_start)


def sleeper(_name: str, _corpus: Path, steps: int, _disc_start: int) -> list[str]:
    return ["sleep", "0" if steps == 1 else "60"]


def test_one_at_a_time_and_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(train, "command", sleeper)
    training = Training()
    assert training.progress().phase == "idle"
    training.start(tmp_path, Plan())
    with pytest.raises(RequestError, match="going already"):
        training.start(tmp_path, Plan())
    training.stop()
    until(lambda: not training.progress().going, 10)
    assert training.progress().phase == "stopped"


def test_a_run_that_fails_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(train, "command", lambda *_: ["sh", "-c", "echo no room >&2; exit 3"])
    training = Training()
    training.start(tmp_path, Plan())
    until(lambda: not training.progress().going, 20)
    progress = training.progress()
    assert (progress.phase, progress.message) == ("failed", "no room")


def test_a_run_that_does_not_end_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(train, "command", sleeper)
    monkeypatch.setattr(train, "MINUTES", 0.0)
    monkeypatch.setattr(train, "GRACE_SECONDS", 1.0)
    training = Training()
    training.start(tmp_path, Plan())
    until(lambda: not training.progress().going, 20)
    assert training.progress().phase == "failed"


@pytest.mark.slow
def test_a_real_run_learns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(train, "MINUTES", 1.0)
    training = Training()
    training.start(tmp_path, Plan(40, 20))
    until(lambda: not training.progress().going, 200)
    progress = training.progress()
    assert progress.phase == "done", progress.message
    assert progress.psnr is not None and progress.psnr[1] > progress.psnr[0]
    assert progress.samples is not None and progress.samples[0] != progress.samples[1]


def test_the_command_is_the_documented_one():
    argv = command("mine", Path("drawings"), 300, 150)
    assert argv[1:6] == ["-m", "ldm_core", "train", "autoencoder", "--name"]
    assert "loop.max_steps=300" in argv and "loss.disc_start=150" in argv


def test_before_anybody_trains_the_panel_says_what_it_will_show(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(panel_module, "TRAINING", Training())
    service = Service(Settings(output_dir=tmp_path))
    with gr.Blocks():
        tab = LabTab(LAB, service, Translation("en"), SharedResults(service))
    panel = next(panel for panel in tab.panels if isinstance(panel, panel_module.TrainHere))
    assert "No run yet." in panel.draw("en")[panel.note]
