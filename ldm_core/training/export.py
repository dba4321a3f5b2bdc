"""Runs → one weights file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from ldm_core.checkpoint.files import read_json
from ldm_core.checkpoint.load import find_tokenizer
from ldm_core.checkpoint.save import save_model, tokenizer_beside
from ldm_core.config import ModelConfig, Parameterization
from ldm_core.presets import find_preset
from ldm_core.shipped import EMOJI_128
from ldm_core.training.common.frozen_parts import encoder_state, load_autoencoder, load_text_encoder, weights_hash
from ldm_core.training.common.state import averaged_weights, read_state
from ldm_core.training.diffusion.latents import find_scale_factor


def export(autoencoder: Path, text: Path | None, diffusion: Sequence[Path], latents: Path, out: Path) -> ModelConfig:
    """Averaged weights of the runs → one 16-bit safetensors file with its config in the header.

    Of several diffusion runs, or states of one run in folders of their own, it takes the mean: a path of training goes
    round a better place than where it ends (Izmailov et al. 2018, §3). The scale factor is the one that was trained
    with (`find_scale_factor`), the frozen parts' hashes go into the config, and the shipped tokenizer is copied beside
    the file. Returns that config. Raises ValueError where `diffusion` holds a weights file, other runs or different
    models, where another model's tokenizer lies beside `out`, and unless there is a text run exactly where the preset
    has a text encoder.
    """
    name, parameterization = _same_model(diffusion)
    preset = find_preset(name)
    first = load_autoencoder(autoencoder, preset.first_stage)
    frozen = {"encoder": weights_hash(encoder_state(first))}
    parts: dict[str, Mapping[str, Tensor]] = {
        "model.": _mean([averaged_weights(run, "model") for run in diffusion]),
        "first_stage_model.": first.state_dict(),
    }
    if (preset.text is None) != (text is None):
        raise ValueError(f"preset {name} has {'no' if preset.text is None else 'a'} text encoder: see --text")
    if preset.text is not None and text is not None:
        parts["cond_stage_model."] = load_text_encoder(text, preset.text).state_dict()
        frozen["cond_stage_model"] = weights_hash(parts["cond_stage_model."])
    config = replace(
        preset,
        scale_factor=find_scale_factor(autoencoder, latents),
        parameterization=parameterization,
        frozen=frozen,
    )
    tensors = {prefix + name: value for prefix, part in parts.items() for name, value in part.items()}
    runs = [run for run in (autoencoder, text, *diffusion) if run is not None]
    out.parent.mkdir(parents=True, exist_ok=True)
    with tokenizer_beside(out, find_tokenizer(EMOJI_128, config), config):  # runs read prompts by the shipped one
        save_model(tensors, config, out, "float16", {"training": json.dumps(_provenance(runs))})
    return config


def _same_model(diffusion: Sequence[Path]) -> tuple[str, Parameterization]:
    """Preset and parameterization of diffusion runs, of which there is one for all of them."""
    found = []
    for run in diffusion:
        if run.is_file():
            raise ValueError(f"{run} is a weights file; --diffusion takes runs, whose averages are exported")
        settings = read_json(run / "config.json")
        if not isinstance(settings, dict) or not settings.keys() >= {"preset", "parameterization"}:
            raise ValueError(f"{run} is no diffusion run: see its config.json")
        found.append((settings["preset"], settings["parameterization"]))
        if found[-1] != found[0]:
            raise ValueError(f"{run} and {diffusion[0]} have no mean: {found[-1]} is not {found[0]}")
    return found[0]


def _mean(states: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    return {name: torch.stack([state[name] for state in states]).mean(0) for name in states[0]}


def _provenance(runs: Sequence[Path]) -> dict[str, dict[str, float]]:
    found = {}
    for run in runs:
        if not run.is_file():
            state = read_state(run / "state.pt")
            found[run.name] = {"steps": state["step"], "minutes": round(state["seconds"] / 60, 1)}
    return found
