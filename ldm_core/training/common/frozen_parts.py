"""Parts that are trained already, out of runs or weights files, for the runs and exports that need them frozen."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from ldm_core.config import AutoencoderConfig, TextConfig
from ldm_core.models.first_stage import FirstStage, make_first_stage
from ldm_core.models.text import FrozenCLIPEmbedder
from ldm_core.training.common.settings import runs_dir
from ldm_core.training.common.state import averaged_weights
from ldm_core.training.common.weights import declared_config, fill, load_part


def find_run(name: str | Path | None) -> Path:
    """A run by name, a run's directory, or a weights file; ValueError where there is none."""
    if name is None:
        raise ValueError("name the run or the weights file with the frozen part: --autoencoder RUN, --text RUN")
    for path in (runs_dir() / name, Path(name).expanduser()):
        if (path / "state.pt").exists() or path.is_file():
            return path
    raise ValueError(f"there is no run or weights file {str(name)!r} (runs are in {runs_dir()})")


def load_autoencoder(source: Path, config: AutoencoderConfig) -> FirstStage:
    """The first stage of a run (averaged weights) or of a weights file, KL or VQ, frozen. ValueError for another's."""
    model = make_first_stage(config)
    if source.is_file():
        load_part(source, "first_stage_model.", model)
    else:
        fill(model, averaged_weights(source, "first_stage_model"), source, "first_stage_model")
    return model.eval().requires_grad_(False)


def load_text_encoder(source: Path, config: TextConfig) -> FrozenCLIPEmbedder:
    """The text tower of a text run (averaged weights) or of a weights file, frozen. ValueError for another's."""
    model = FrozenCLIPEmbedder(config)
    if source.is_file():
        load_part(source, "cond_stage_model.", model)
    else:
        clip = averaged_weights(source, "clip")
        towers = {f"transformer.{k}": v for k, v in clip.items() if k.startswith("text_model.")}
        fill(model, {k: v for k, v in towers.items() if not k.endswith("position_ids")}, source, "clip")
    return model.eval().requires_grad_(False)


def declared_scale_factor(autoencoder: Path) -> float | None:
    """What a weights file's own header says; None of a run, and of other programs' files."""
    config = declared_config(autoencoder) if autoencoder.is_file() else {}
    return float(config["scale_factor"]) if "scale_factor" in config else None


def encoder_state(autoencoder: FirstStage) -> dict[str, Tensor]:
    """The half that decides what a latent is; the decoder may be tuned later without harm."""
    state: dict[str, Tensor] = autoencoder.state_dict()
    return {k: v for k, v in state.items() if k.startswith(("encoder.", "quant_conv."))}


def weights_hash(state: Mapping[str, Tensor]) -> str:
    """sha256 of weights in fp16, names included: equal before and after an export."""
    digest = hashlib.sha256()
    for name, value in sorted(state.items()):
        digest.update(name.encode())
        digest.update(value.detach().cpu().to(torch.float16).numpy().tobytes())
    return digest.hexdigest()
