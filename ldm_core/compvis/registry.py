"""Objects from configuration: {"target": name, "params": {…}}, where the name is looked up in a list.

The published files name any class in the environment and import it; a file from a stranger would then run what it
likes. Here a name that is not in the list is refused, and nothing is imported for it.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any

from ldm_core.config import AutoencoderConfig, ModelConfig, TextConfig, UNetConfig, build_config

Build = Callable[[Any, Mapping[str, Any]], Any]


def _by_keywords(cls: Any, params: Mapping[str, Any]) -> Any:
    return cls(**params)


def _by_config(config: type[Any]) -> Build:
    """For classes whose constructor takes one frozen config."""
    return lambda cls, params: cls(build_config(config, params))


def _by_loss_config(cls: Any, params: Mapping[str, Any]) -> Any:
    from ldm_core.losses.autoencoder import AutoencoderLossConfig

    return cls(build_config(AutoencoderLossConfig, params))


# our path → how its class takes params
TARGETS: dict[str, Build] = {
    "torch.nn.Identity": _by_keywords,
    "ldm_core.compvis.autoencoder.AutoencoderKL": _by_keywords,
    "ldm_core.compvis.autoencoder.VQModel": _by_keywords,
    "ldm_core.compvis.ddpm.DDPM": _by_keywords,
    "ldm_core.compvis.latent_diffusion.LatentDiffusion": _by_keywords,
    "ldm_core.compvis.options.LambdaLinear": _by_keywords,
    "ldm_core.losses.autoencoder.LPIPSWithDiscriminator": _by_loss_config,
    "ldm_core.losses.vq.VQLPIPSWithDiscriminator": _by_loss_config,
    "ldm_core.models.autoencoder.AutoencoderKL": _by_config(AutoencoderConfig),
    "ldm_core.models.vq.VQModel": _by_config(AutoencoderConfig),
    "ldm_core.models.vq.VQModelInterface": _by_config(AutoencoderConfig),
    "ldm_core.models.unet.UNetModel": _by_config(UNetConfig),
    "ldm_core.models.text.FrozenCLIPEmbedder": _by_config(TextConfig),
    "ldm_core.models.latent_diffusion.LatentDiffusion": _by_config(ModelConfig),
}
# the published names of the same things
ALIASES = {
    "ldm.models.autoencoder.AutoencoderKL": "ldm_core.compvis.autoencoder.AutoencoderKL",
    "ldm.models.autoencoder.VQModel": "ldm_core.compvis.autoencoder.VQModel",
    "ldm.models.diffusion.ddpm.DDPM": "ldm_core.compvis.ddpm.DDPM",
    "ldm.models.diffusion.ddpm.LatentDiffusion": "ldm_core.compvis.latent_diffusion.LatentDiffusion",
    "ldm.lr_scheduler.LambdaLinearScheduler": "ldm_core.compvis.options.LambdaLinear",
    "ldm.modules.losses.LPIPSWithDiscriminator": "ldm_core.losses.autoencoder.LPIPSWithDiscriminator",
    "ldm.modules.losses.vqperceptual.VQLPIPSWithDiscriminator": "ldm_core.losses.vq.VQLPIPSWithDiscriminator",
    "taming.modules.losses.vqperceptual.VQLPIPSWithDiscriminator": "ldm_core.losses.vq.VQLPIPSWithDiscriminator",
}


def instantiate(config: Mapping[str, Any]) -> Any:
    """The object that a config describes. ValueError for a name that is not in the list, or params it does not take."""
    name = config.get("target")
    known = ALIASES.get(str(name), str(name))
    if known not in TARGETS:
        raise ValueError(f"target {name!r} is not among those that can be built: {', '.join(sorted(TARGETS))}")
    stray = set(config) - {"target", "params", "base_learning_rate"}
    if stray:
        raise ValueError(f"a config has target and params, not {sorted(stray)}")
    module, _, attribute = known.rpartition(".")
    cls = getattr(importlib.import_module(module), attribute)
    try:
        return TARGETS[known](cls, config.get("params") or {})
    except TypeError as error:
        raise ValueError(f"{name} does not take these params: {error}") from error


instantiate_from_config = instantiate
