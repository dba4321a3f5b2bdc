"""A small model with random weights, the same on every run, for tests that need weights and not pictures."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch

from ldm_core.checkpoint import save_model
from ldm_core.config import ModelConfig
from ldm_core.models.latent_diffusion import LatentDiffusion
from ldm_core.pipeline import Pipeline
from ldm_core.presets import TINY
from ldm_core.text.tokenizer import Tokenizer

# unconditional
FREE = replace(TINY, name="free", text=None, conditioning_key=None, unet=replace(TINY.unet, context_dim=None))
TOKENIZER = Path(__file__).parents[1] / "weights" / "clip-tokenizer"
SAVED: dict[str, bytes] = {}  # files that were made: many tests ask for the same one


def tiny_model(config: ModelConfig = TINY, seed: int = 0) -> LatentDiffusion:
    """Weights in fp32, scaled so that every part of the input shows in the output."""
    with torch.device("meta"):
        model = LatentDiffusion(config)
    generator = torch.Generator().manual_seed(seed)
    buffers = {name: value for name, value in model.named_buffers() if name in model.state_dict()}
    weights = {name: _draw(name, value.shape, generator) for name, value in model.named_parameters()}
    model.load_state_dict({**weights, **buffers}, assign=True)
    return model.eval()


def tiny_pipeline(seed: int = 0) -> Pipeline:
    """The same model with CLIP's real tokenizer."""
    assert TINY.text is not None
    return Pipeline(tiny_model(seed=seed), Tokenizer.load(TOKENIZER, TINY.text.text_len))


def tiny_checkpoint(
    folder: Path, config: ModelConfig = TINY, seed: int = 0, dtype: str = "float32", name: str = "tiny.safetensors"
) -> Path:
    """The same model as a file: `folder`/tiny.safetensors."""
    path, key = folder / name, repr((config, seed, dtype))
    if key in SAVED:
        path.write_bytes(SAVED[key])
    else:
        save_model(tiny_model(config, seed), config, path, dtype)
        SAVED[key] = path.read_bytes()
    return path


def _draw(name: str, shape: torch.Size, generator: torch.Generator) -> torch.Tensor:
    noise = torch.randn(shape, generator=generator)
    if "norm" in name or len(shape) == 1:  # gains near 1, biases near 0
        return 0.1 * noise + (1.0 if name.endswith("weight") else 0.0)
    if "embedding" in name:
        return 0.5 * noise
    return noise * shape[1:].numel() ** -0.5
