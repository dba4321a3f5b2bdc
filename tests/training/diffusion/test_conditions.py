"""The training command's diffusion task without text: nothing, or the style as a class."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import ldm_core.presets as presets
from ldm_core.models.autoencoder import AutoencoderKL
from ldm_core.training.common.loop import Loop, make_accelerator
from ldm_core.training.common.settings import LoopSettings, load_settings
from ldm_core.training.diffusion.batches import CaptionedRows, drawing_batches
from ldm_core.training.diffusion.conditions import STYLES, NoCondition, StyleClass
from ldm_core.training.diffusion.latents import build_cache, open_cache
from ldm_core.training.diffusion.settings import DiffusionTraining
from ldm_core.training.diffusion.task import DiffusionTask
from tests.tiny import FREE

CONFIGS = Path(__file__).parents[3] / "configs"
STYLED = replace(FREE, conditioning_key="adm", unet=replace(FREE.unet, num_classes=len(STYLES) + 1))


def test_styles_are_read_from_captions():
    captions = ["red apple, noto style", "a cat, 3d style, on a red background", "", "rocket", "blob style"]
    assert StyleClass().read(captions).tolist() == [0, 2, len(STYLES), len(STYLES), 6]
    assert NoCondition().read(captions).shape == (5, 1)


def test_styles_are_the_corpus_sets():
    from ldm_core.data.sources import ICON_SETS

    assert {f"{style} style" for style in STYLES} == {s.style for s in ICON_SETS}
    assert presets.EMOJI_128_STYLE.unet.num_classes == len(STYLES) + 1


@pytest.mark.parametrize(("preset", "condition"), [(FREE, NoCondition()), (STYLED, StyleClass())], ids=["none", "adm"])
def test_runs_train_sample_and_validate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, preset: presets.ModelConfig, condition: StyleClass | NoCondition
):
    monkeypatch.setitem(presets.PRESETS, "ANOTHER", preset)
    torch.manual_seed(0)
    autoencoder = AutoencoderKL(preset.first_stage).eval()
    drawings = np.full((6, 32, 32, 4), 120, np.uint8)
    build_cache(tmp_path / "latents", autoencoder, drawings, {"white": (255, 255, 255)}, passes=1)
    settings = DiffusionTraining(
        preset="ANOTHER",
        loop=LoopSettings(batch=4, lr=1e-3, max_steps=2, warmup=1, log_every=1),
        validation=2,
        sample_steps=2,
        caption_dropout=0.5,
        prompts=("a, noto style", "b, 3d style"),
    )
    draw = lambda rng, n: rng.integers(4, size=n)  # noqa: E731
    caption = lambda row, rng, ground: f"thing, {STYLES[row]} style"  # noqa: E731
    cache = open_cache(tmp_path / "latents")
    accelerator = make_accelerator("no")
    batches = drawing_batches(settings, cache, CaptionedRows(draw, caption, np.arange(4, 6)), condition, accelerator)
    task = DiffusionTask(settings, batches, condition, autoencoder, accelerator)
    before = {k: v.clone() for k, v in task.unet.state_dict().items()}
    assert Loop(task, settings.loop, tmp_path / "run", task.accelerator, tensorboard=False).run() == 2
    moved = {k for k, v in task.unet.state_dict().items() if not torch.equal(v, before[k])}
    assert moved
    if preset is STYLED:
        assert "diffusion_model.label_emb.weight" in before
    assert list((tmp_path / "run" / "samples").glob("*.png"))


@pytest.mark.parametrize(("file", "key"), [("diffusion-unconditional", None), ("diffusion-class", "adm")])
def test_preset_files(file: str, key: str | None):
    assert load_settings(DiffusionTraining, CONFIGS / f"{file}.toml").model.conditioning_key == key
