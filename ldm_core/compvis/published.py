"""The published configuration files' words → our config values. Targets come from a list, none is imported by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ldm_core.config import AutoencoderConfig, TextConfig, UNetConfig, build_config

UNET = "ldm.modules.diffusionmodules.openaimodel.UNetModel"
KL, VQ = "ldm.models.autoencoder.AutoencoderKL", "ldm.models.autoencoder.VQModelInterface"
IDENTITY = "ldm.models.autoencoder.IdentityFirstStage"
TEXT = "ldm.modules.encoders.modules.FrozenCLIPEmbedder"

# options of the published UNet that ours always has, or that say how and not what to compute
UNET_FIXED: dict[str, Any] = {"use_spatial_transformer": True, "legacy": False, "dims": 2}
UNET_IGNORED = ("image_size", "use_checkpoint", "use_fp16")


def params_of(config: Mapping[str, Any], *targets: str) -> tuple[str, dict[str, Any]]:
    """{"target": …, "params": {…}} → its target and params. ValueError for a target that is not in the list."""
    if "target" not in config:
        return targets[0], dict(config)
    if config["target"] not in targets:
        raise ValueError(f"target {config['target']!r} is none of {', '.join(targets)}")
    return str(config["target"]), dict(config.get("params", {}))


def unet_from(config: UNetConfig | Mapping[str, Any]) -> UNetConfig:
    """A UNetConfig, its fields, or the published form of them."""
    if isinstance(config, UNetConfig):
        return config
    _, params = params_of(config, UNET)
    for name, value in UNET_FIXED.items():
        if params.pop(name, value) != value:
            raise ValueError(f"{name} can only be {value} here")
    for name in UNET_IGNORED:
        params.pop(name, None)
    return build_config(UNetConfig, params)


def first_stage_from(config: AutoencoderConfig | Mapping[str, Any]) -> AutoencoderConfig:
    """An AutoencoderConfig, its fields, or the published form of them (ddconfig beside embed_dim)."""
    if isinstance(config, AutoencoderConfig):
        return config
    target, params = params_of(config, KL, VQ, IDENTITY)
    kind = {KL: "kl", VQ: "vq", IDENTITY: "identity"}[target] if "target" in config else params.pop("kind", "kl")
    for name in ("lossconfig", "monitor", "ckpt_path"):  # the training's, not the network's
        params.pop(name, None)
    network = params.pop("ddconfig", {})
    return build_config(AutoencoderConfig, {"kind": kind, **network, **params})


def text_from(config: TextConfig | Mapping[str, Any]) -> TextConfig:
    """A TextConfig, its fields, or the published FrozenCLIPEmbedder, whose sizes are the defaults."""
    if isinstance(config, TextConfig):
        return config
    return build_config(TextConfig, params_of(config, TEXT)[1])
