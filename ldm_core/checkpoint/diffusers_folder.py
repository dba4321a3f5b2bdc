"""A diffusers folder → tensors under our names, and its geometry."""

from __future__ import annotations

from pathlib import Path

from ldm_core.checkpoint.diffusers_config import read_config, require_plain_pipeline
from ldm_core.checkpoint.diffusers_names import PARTS, to_current_name, to_diffusers_names
from ldm_core.checkpoint.errors import CheckpointError
from ldm_core.checkpoint.files import Tensors
from ldm_core.checkpoint.normalise import read_tensors
from ldm_core.checkpoint.state_dict_check import empty_model, expected_shapes
from ldm_core.config import ModelConfig

STEMS = {"unet": "diffusion_pytorch_model", "vae": "diffusion_pytorch_model", "text_encoder": "model"}


def read_folder(path: Path) -> tuple[Tensors, ModelConfig, tuple[Path, ...]]:
    """Tensors mapped from disk, the geometry by the folder's config files, and the weights files read.

    A name that has no place with us comes back under its part's prefix, for strict loading to refuse.
    """
    if not (path / "model_index.json").is_file():
        raise CheckpointError(f"{path} is a folder without model_index.json, so {_folder_of(path)}")
    require_plain_pipeline(path)
    config = read_config(path)
    expected = expected_shapes(empty_model(config))
    names = to_diffusers_names(expected, config.unet, len(config.first_stage.ch_mult))
    ours = {there: name for name, there in names.items()}
    tensors: Tensors = {}
    files = tuple(_weights_file(path, part) for part in PARTS)
    for (part, prefix), file in zip(PARTS.items(), files, strict=True):
        for stored, tensor in read_tensors(file).items():
            inner = to_current_name(part, stored)
            tensors[ours.get((part, inner), prefix + inner)] = tensor
    return tensors, config, files


def _folder_of(path: Path) -> str:
    """What else a folder may be that people take for a model."""
    if (path / "adapter_config.json").is_file():
        return "a PEFT adapter (LoRA), which is an addition to a model and not a model"
    if (path / "config.json").is_file():
        return "one part of a diffusers model and not the whole"
    return "not a diffusers model"


def _weights_file(path: Path, part: str) -> Path:
    stem = STEMS[part]
    old = "pytorch_model" if part == "text_encoder" else stem
    names = (f"{stem}.safetensors", f"{stem}.fp16.safetensors", f"{old}.bin", f"{old}.fp16.bin")
    found = next((file for name in names if (file := path / part / name).is_file()), None)
    if found is None:
        raise CheckpointError(f"{path} has no weights in {part}/ (looked for {', '.join(names)})")
    return found
