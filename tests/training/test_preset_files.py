"""The preset files beside the default ones, tiny, through the whole command line into a weights file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

import ldm_core.presets as presets
from ldm_core.__main__ import main
from ldm_core.checkpoint.load import load_model
from ldm_core.models.vq import VQModelInterface
from ldm_core.training.common.metric_log import read_metrics
from ldm_core.training.diffusion.conditions import STYLES
from tests.tiny import FREE

CONFIGS = Path(__file__).parents[2] / "configs"
FIRST = presets.TINY.first_stage
VQ = replace(presets.TINY, first_stage=replace(FIRST, kind="vq", double_z=False, n_embed=16))
STYLED = replace(FREE, conditioning_key="adm", unet=replace(FREE.unet, num_classes=len(STYLES) + 1))
SMALL = ["preset=ANOTHER", "loop.batch=2", "loop.log_every=1", "loop.max_steps=2"]


@pytest.mark.parametrize(
    ("preset", "first", "diffusion", "words"),
    [
        (VQ, "autoencoder-vq", "diffusion", ["--text", "words"]),
        (FREE, "autoencoder-published", "diffusion-unconditional", []),
        (STYLED, "autoencoder", "diffusion-class", []),
    ],
    ids=["vq", "unconditional", "class"],
)
def test_from_preset_files_to_a_weights_file(
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    preset: presets.ModelConfig,
    first: str,
    diffusion: str,
    words: list[str],
):
    monkeypatch.setitem(presets.PRESETS, "ANOTHER", preset)
    corpus, latents = ["--corpus", str(home / "corpus"), "--device", "cpu"], ["--latents", str(home / "latents")]
    small = [*SMALL, "crop=16", "loss.perceptual_trunk=", "loss.disc_ndf=4"]
    assert main(["train", "autoencoder", "--config", f"{CONFIGS}/{first}.toml", "--name", "a", *corpus, *small]) == 0
    parts = ["--autoencoder", "a", *latents]
    assert main(["train", "cache-latents", *parts, "--preset", "ANOTHER", *corpus]) == 0
    small = [*SMALL, "sample_steps=2", 'prompts=["a, 3d style"]']
    config = f"{CONFIGS}/{diffusion}.toml"
    assert main(["train", "diffusion", "--config", config, "--name", "d", *parts, *words, *corpus, *small]) == 0
    logged = {name for _, name, _, _ in read_metrics(home / "runs/d/metrics.csv")}
    assert {"train/loss_simple", "val/loss_simple"} <= logged and list((home / "runs/d/samples").iterdir())
    out = home / "out.safetensors"
    assert main(["train", "export", *parts, *words, "--diffusion", "d", "--out", str(out)]) == 0

    loaded = load_model(out, torch.float32)
    assert loaded.config.conditioning_key == preset.conditioning_key and loaded.config.scale_factor != 1.0
    assert (loaded.config.text is None) == (preset.text is None)
    assert isinstance(loaded.model.first_stage_model, VQModelInterface) == (preset is VQ)
    decoded = loaded.model.decode_first_stage(torch.randn(1, 4, 16, 16, generator=torch.Generator().manual_seed(0)))
    assert decoded.shape == (1, 3, 32, 32) and bool(decoded.isfinite().all())

    wrong = [] if words else ["--text", "words"]
    assert main(["train", "export", *parts, *wrong, "--diffusion", "d", "--out", str(out)]) == 2
    assert "text encoder: see --text" in capsys.readouterr().err


def test_a_preset_must_exist(home: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["train", "cache-latents", "--autoencoder", "words", "--preset", "NONE", "--device", "cpu"]) == 2
    assert "no preset is called 'NONE'" in capsys.readouterr().err
