"""Conditioning of a model without a text encoder: a class, or nothing."""

from __future__ import annotations

import torch

from ldm_core.config import ModelConfig
from ldm_core.diffusion.denoiser import Conditioning
from ldm_core.sampling import SamplingParams


def class_conditioning(config: ModelConfig, params: SamplingParams, scale: float) -> Conditioning:
    """Class ids (adm) or nothing (none) as a row's condition, guided by `scale`.

    The last class is "none in particular", as in configs/diffusion-class.toml: guidance leads away from it. Raises
    ValueError where the model takes something else.
    """
    label = params.label
    if params.prompt or params.negative_prompt:
        raise ValueError(f"{config.name} has no text encoder: it cannot follow a prompt")
    if config.conditioning_key is None:
        if label is not None:
            raise ValueError(f"{config.name} is unconditional: it takes no class")
        return Conditioning(torch.zeros(0))
    if config.conditioning_key != "adm":
        raise ValueError(f"{config.name} is told by pictures ({config.conditioning_key}): sample it with DDIMSampler")
    classes = config.unet.num_classes or 0
    if label is None or not 0 <= label < classes:
        raise ValueError(f"{config.name} draws classes 0…{classes - 1}: it needs one of them, not {label}")
    return Conditioning(torch.tensor(label), torch.tensor(classes - 1), scale)
