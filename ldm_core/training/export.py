"""Runs → frozen parts for the next run, and runs → one weights file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor

from ldm_core.checkpoint.save import save_model
from ldm_core.checkpoint.source import CONFIG_KEY
from ldm_core.config import AutoencoderConfig, ModelConfig, TextConfig, find_preset
from ldm_core.models.first_stage import FirstStage, make_first_stage
from ldm_core.models.text import FrozenCLIPEmbedder
from ldm_core.training.common.settings import runs_dir
from ldm_core.training.common.state import averaged_weights, read_state
from ldm_core.training.common.weights import load_part
from ldm_core.training.diffusion.latents import encoder_state, open_cache, weights_hash


def find_run(name: str | Path | None) -> Path:
    """A run by name, a run's directory, or a weights file; ValueError where there is none."""
    if name is None:
        raise ValueError("name the run or the weights file with the frozen part: --autoencoder RUN, --text RUN")
    for path in (runs_dir() / name, Path(name).expanduser()):
        if (path / "state.pt").exists() or path.is_file():
            return path
    raise ValueError(f"there is no run or weights file {str(name)!r} (runs are in {runs_dir()})")


def load_autoencoder(source: Path, config: AutoencoderConfig) -> FirstStage:
    """The first stage of a run (averaged weights) or of a weights file, KL or VQ, frozen."""
    model = make_first_stage(config)
    if source.is_file():
        load_part(source, "first_stage_model.", model)
    else:
        model.load_state_dict(averaged_weights(source, "first_stage_model"))
    return model.eval().requires_grad_(False)


def load_text_encoder(source: Path, config: TextConfig) -> FrozenCLIPEmbedder:
    """The text tower of a text run (averaged weights) or of a weights file, frozen."""
    model = FrozenCLIPEmbedder(config)
    if source.is_file():
        load_part(source, "cond_stage_model.", model)
    else:
        clip = averaged_weights(source, "clip")
        towers = {f"transformer.{k}": v for k, v in clip.items() if k.startswith("text_model.")}
        model.load_state_dict({k: v for k, v in towers.items() if not k.endswith("position_ids")})
    return model.eval().requires_grad_(False)


def find_scale_factor(autoencoder: Path, latents: Path) -> float:
    """What an autoencoder's latents are multiplied by: as its file's own header says, else measured on the cache."""
    declared = declared_scale_factor(autoencoder)
    return open_cache(latents).scale_factor if declared is None else declared


def declared_scale_factor(autoencoder: Path) -> float | None:
    """What a weights file's own header says; None of a run, and of other programs' files."""
    if not autoencoder.is_file():
        return None
    with safe_open(str(autoencoder), framework="pt") as file:
        config = json.loads((file.metadata() or {}).get(CONFIG_KEY, "{}"))
    return float(config["scale_factor"]) if "scale_factor" in config else None


def export(autoencoder: Path, text: Path | None, diffusion: Sequence[Path], latents: Path, out: Path) -> ModelConfig:
    """Averaged weights of the runs → one 16-bit safetensors file with its config in the header.

    Of several diffusion runs, or states of one run in folders of their own, it takes the mean: a path of training goes
    round a better place than where it ends (Izmailov et al. 2018, §3). The scale factor is the one that was trained
    with (`find_scale_factor`), the frozen parts' hashes go into the config. Returns that config.
    Raises ValueError where `diffusion` holds a weights file, and unless there is a text run exactly where the preset
    has a text encoder.
    """
    for run in diffusion:
        if run.is_file():
            raise ValueError(f"{run} is a weights file; --diffusion takes runs, whose averages are exported")
    settings = json.loads((diffusion[0] / "config.json").read_text(encoding="utf-8"))
    preset = find_preset(settings["preset"])
    first = load_autoencoder(autoencoder, preset.first_stage)
    frozen = {"encoder": weights_hash(encoder_state(first))}
    parts: dict[str, Mapping[str, Tensor]] = {
        "model.": _mean([averaged_weights(run, "model") for run in diffusion]),
        "first_stage_model.": first.state_dict(),
    }
    if (preset.text is None) != (text is None):
        raise ValueError(
            f"preset {settings['preset']} has {'no' if preset.text is None else 'a'} text encoder: see --text"
        )
    if preset.text is not None and text is not None:
        parts["cond_stage_model."] = load_text_encoder(text, preset.text).state_dict()
        frozen["cond_stage_model"] = weights_hash(parts["cond_stage_model."])
    config = replace(
        preset,
        scale_factor=find_scale_factor(autoencoder, latents),
        parameterization=settings["parameterization"],
        frozen=frozen,
    )
    tensors = {prefix + name: value for prefix, part in parts.items() for name, value in part.items()}
    runs = [run for run in (autoencoder, text, *diffusion) if run is not None]
    out.parent.mkdir(parents=True, exist_ok=True)
    save_model(tensors, config, out, "float16", {"training": json.dumps(_provenance(runs))})
    return config


def _mean(states: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    return {name: torch.stack([state[name] for state in states]).mean(0) for name in states[0]}


def _provenance(runs: Sequence[Path]) -> dict[str, dict[str, float]]:
    found = {}
    for run in runs:
        if not run.is_file():
            state = read_state(run / "state.pt")
            found[run.name] = {"steps": state["step"], "minutes": round(state["seconds"] / 60, 1)}
    return found
