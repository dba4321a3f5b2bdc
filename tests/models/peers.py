"""diffusers' and transformers' modules with our weights, renamed by diffusers' own converter, not by ours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from diffusers.loaders.single_file_utils import convert_ldm_unet_checkpoint, convert_ldm_vae_checkpoint
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel

from ldm_core.models.latent_diffusion import LatentDiffusion

# The options as published with SD v1.5; what is not named is the library's default there too.
SD_V1_UNET: dict[str, Any] = {
    "sample_size": 64,
    "in_channels": 4,
    "out_channels": 4,
    "block_out_channels": (320, 640, 1280, 1280),
    "layers_per_block": 2,
    "attention_head_dim": 8,
    "cross_attention_dim": 768,
    "down_block_types": ("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",),
    "up_block_types": ("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 3,
}
SD_V1_VAE: dict[str, Any] = {
    "block_out_channels": (128, 256, 512, 512),
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "latent_channels": 4,
    "layers_per_block": 2,
    "sample_size": 512,
}
SD_V1_TEXT: dict[str, Any] = {
    "vocab_size": 49408,
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "max_position_embeddings": 77,
    "hidden_act": "quick_gelu",
}
TINY_UNET = SD_V1_UNET | {
    "sample_size": 16,
    "block_out_channels": (32, 64),
    "layers_per_block": 1,
    "attention_head_dim": 2,
    "cross_attention_dim": 32,
    "down_block_types": ("CrossAttnDownBlock2D",) * 2,
    "up_block_types": ("CrossAttnUpBlock2D",) * 2,
}
TINY_VAE = SD_V1_VAE | {
    "block_out_channels": (32, 64),
    "down_block_types": ("DownEncoderBlock2D",) * 2,
    "up_block_types": ("UpDecoderBlock2D",) * 2,
    "layers_per_block": 1,
    "sample_size": 32,
}
TINY_TEXT = SD_V1_TEXT | {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
}
GEOMETRIES = {"tiny": (TINY_UNET, TINY_VAE, TINY_TEXT), "sd-v1": (SD_V1_UNET, SD_V1_VAE, SD_V1_TEXT)}


@dataclass(frozen=True, eq=False)
class Peers:
    unet: UNet2DConditionModel
    vae: AutoencoderKL
    text: CLIPTextModel


def peers_of(model: LatentDiffusion) -> Peers:
    """The peers share the model's memory."""
    unet_options, vae_options, text_options = GEOMETRIES[model.config.name]
    state = model.state_dict()
    with torch.device("meta"):
        unet, vae = UNet2DConditionModel(**unet_options), AutoencoderKL(**vae_options)
    text = CLIPTextModel(CLIPTextConfig(**text_options))  # its position_ids must be real
    unet.load_state_dict(convert_ldm_unet_checkpoint(dict(state), dict(unet.config)), assign=True)
    vae.load_state_dict(convert_ldm_vae_checkpoint(dict(state), dict(vae.config)), assign=True)
    prefix = "cond_stage_model.transformer.text_model."
    inner = {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
    text.load_state_dict(inner, assign=True)
    return Peers(unet.eval(), vae.eval(), text.eval())


def hush(model: nn.Module, factor: float) -> None:
    """Make activations so small that the epsilon of a norm shows in the output."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim == 4 or (name.endswith("bias") and "norm" not in name):
                parameter.mul_(factor)


def relative(ours: Tensor, theirs: Tensor) -> float:
    """Largest difference as a share of the largest value."""
    return ((ours - theirs).abs().max() / theirs.abs().max()).item()
