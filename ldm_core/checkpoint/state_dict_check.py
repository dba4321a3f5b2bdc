"""Which tensors a geometry has, and how a file differs from that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ldm_core.checkpoint.errors import CheckpointError, one_line
from ldm_core.checkpoint.relatives import relative_of
from ldm_core.config import ModelConfig
from ldm_core.diffusion.schedule import NoiseSchedule
from ldm_core.models.latent_diffusion import LatentDiffusion

Shapes = dict[str, tuple[int, ...]]


LIMITS = {
    "num_res_blocks": 64,
    "transformer_depth": 64,
    "layers": 256,
    "ch_mult": 16,
    "channel_mult": 16,
    "timesteps": 100_000,
    "given_betas": 100_000,
    "text_len": 100_000,
    "image_size": 65_536,
    "resolution": 65_536,
}
LISTS = ("ch_mult", "channel_mult", "given_betas")  # their lengths are bounded
MOST_BLOCKS = 1000  # of a UNet: levels × blocks × transformer depth; SD v1 has 36, SDXL 210


@dataclass(frozen=True)
class Difference:
    """Names only; a wrong shape says both."""

    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    wrong_shape: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.missing or self.unexpected or self.wrong_shape)

    def __str__(self) -> str:
        groups = (("missing", self.missing), ("unexpected", self.unexpected), ("of wrong shape", self.wrong_shape))
        return "; ".join(f"{len(names)} {what} ({_some(names)})" for what, names in groups if names)


def empty_model(config: ModelConfig) -> LatentDiffusion:
    """The model without memory behind its parameters (meta device); its buffers are real."""
    _require_bounded(config)
    try:
        with torch.device("meta"):
            return LatentDiffusion(config)
    except Exception as error:  # a config of wrong types fails anywhere in torch and transformers
        raise CheckpointError(f"no model can be built from the geometry of {config.name}: {one_line(error)}") from error


def schedule_of(config: ModelConfig) -> NoiseSchedule:
    """Its noise schedule. CheckpointError for one that no model has."""
    _require_bounded(config)
    try:
        return NoiseSchedule.from_config(config.schedule)
    except Exception as error:
        raise CheckpointError(f"no schedule can be made from that of {config.name}: {one_line(error)}") from error


def _require_bounded(config: ModelConfig) -> None:
    """A header can ask for more modules than any memory holds, before a single tensor is compared."""
    for part in (config, config.first_stage, config.unet, config.text, config.schedule):
        for name, value in getattr(part, "__dict__", {}).items():
            is_list = isinstance(value, tuple) and name in LISTS
            size = len(value) if is_list else value
            given = name in LIMITS and not (name == "given_betas" and value is None)
            if given and not (isinstance(size, int) and 0 <= size <= LIMITS[name]):
                said = size if is_list else repr(value)[:40]
                raise CheckpointError(f"the geometry of {config.name} has {name} = {said}, beyond {LIMITS[name]}")
    unet = config.unet
    blocks = len(unet.channel_mult) * (2 * unet.num_res_blocks + 1) * max(1, unet.transformer_depth)
    if blocks > MOST_BLOCKS:
        raise CheckpointError(f"the geometry of {config.name} has {blocks} blocks, beyond {MOST_BLOCKS}")


def expected_shapes(model: LatentDiffusion) -> Shapes:
    """Name → shape of every stored tensor; schedule buffers are computed and not among them."""
    computed = dict(model.named_buffers())
    return {name: tuple(value.shape) for name, value in model.state_dict().items() if name not in computed}


def compare(tensors: Mapping[str, Tensor], expected: Shapes) -> Difference:
    """What `tensors` lacks, has too much, and has in another shape."""
    wrong = [
        f"{name} {_shape(tensors[name].shape)} instead of {_shape(shape)}"
        for name, shape in expected.items()
        if name in tensors and tuple(tensors[name].shape) != shape
    ]
    missing = tuple(name for name in expected if name not in tensors)
    return Difference(missing, tuple(name for name in tensors if name not in expected), tuple(wrong))


def require_equal(name: str, tensors: Mapping[str, Tensor], model: LatentDiffusion) -> None:
    """CheckpointError, grouped, unless the tensors are exactly the model's."""
    difference = compare(tensors, expected_shapes(model))
    if not difference:
        return
    relative = relative_of({name: tuple(t.shape) for name, t in tensors.items()}, difference.unexpected)
    if relative:
        raise CheckpointError(f"{name} is {relative}")
    raise CheckpointError(f"{name} does not fit the geometry {model.config.name}: {difference}")


def _some(names: Sequence[str], most: int = 3) -> str:
    return ", ".join(names[:most]) + (", …" if len(names) > most else "")


def _shape(shape: Sequence[int]) -> str:
    return "×".join(map(str, shape)) or "scalar"
