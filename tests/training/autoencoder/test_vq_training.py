"""The training command's task with a VQ preset."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import ldm_core.presets as presets
from ldm_core.losses.autoencoder import AutoencoderLossConfig, VQAutoencoderLoss
from ldm_core.models.vq import VQModel
from ldm_core.training.autoencoder.task import AutoencoderTask, AutoencoderTraining
from ldm_core.training.common.loop import Loop, make_accelerator
from ldm_core.training.common.metric_log import read_metrics
from ldm_core.training.common.settings import LoopSettings, load_settings
from ldm_core.training.common.state import averaged_weights

TERMS = "total_loss quant_loss nll_loss rec_loss perplexity cluster_usage d_weight disc_factor g_loss"
CONFIG = Path(__file__).parents[3] / "configs" / "autoencoder-vq.toml"


def make_task(steps: int) -> AutoencoderTask:
    drawings = np.zeros((6, 16, 16, 4), np.uint8)
    for i, picture in enumerate(drawings):
        picture[4:12, 2 + i : 10 + i] = [40 * i, 200 - 30 * i, 90, 255]
    settings = AutoencoderTraining(
        preset="TINY_VQ",
        loop=LoopSettings(batch=4, lr=2e-3, max_steps=steps, warmup=2, log_every=1),
        loss=AutoencoderLossConfig(perceptual_trunk="", disc_start=2, disc_ndf=4, disc_num_layers=1, disc_weight=0.1),
        crop=16,
        initialise=True,
        validation=2,
    )
    draw = lambda rng, n: rng.integers(4, size=n)  # noqa: E731
    palette = np.array([[200, 30, 30]], np.uint8)
    return AutoencoderTask(settings, drawings, draw, np.array([4, 5]), palette, make_accelerator("no"))


def test_run_logs_its_codebook_and_learns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    stage = replace(presets.TINY.first_stage, kind="vq", double_z=False, n_embed=16, norm_groups=8)
    monkeypatch.setitem(presets.PRESETS, "TINY_VQ", replace(presets.TINY, first_stage=stage))
    task = make_task(steps=40)
    assert isinstance(task.autoencoder, VQModel) and isinstance(task.loss, VQAutoencoderLoss)
    Loop(task, task.settings.loop, tmp_path, task.accelerator, tensorboard=False).run()
    curves: dict[str, list[float]] = {}
    for _, name, value, _ in read_metrics(tmp_path / "metrics.csv"):
        curves.setdefault(name, []).append(float(value))
    assert {f"{s}/{t}" for s in ("train", "val") for t in TERMS.split()} <= set(curves)
    assert {"aeloss", "discloss", "val/psnr", "train/logits_real"} <= set(curves)
    assert np.mean(curves["train/rec_loss"][-5:]) < 0.6 * curves["train/rec_loss"][0]
    assert "quantize.embedding.weight" in averaged_weights(tmp_path, "first_stage_model")


def test_preset_file():
    settings = load_settings(AutoencoderTraining, CONFIG)
    assert settings.model.kind == "vq" and settings.model.n_embed == 1024
