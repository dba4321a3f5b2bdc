"""Objects from configuration: {"target": name, "params": {…}}, where the name is looked up in a list.

CompVis' files name any class in the environment and import it; a file from a stranger would then run what it
likes. Here a name that is not in the list is refused, and nothing is imported for it.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ldm_core.config import AutoencoderConfig, ModelConfig, TextConfig, UNetConfig, build_config
from ldm_core.files import read_text

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
    "ldm_core.compvis.losses.LPIPSWithDiscriminator": _by_loss_config,
    "ldm_core.compvis.losses.VQLPIPSWithDiscriminator": _by_loss_config,
    "ldm_core.compvis.options.LambdaLinear": _by_keywords,
    "ldm_core.models.autoencoder.AutoencoderKL": _by_config(AutoencoderConfig),
    "ldm_core.models.vq.VQModel": _by_config(AutoencoderConfig),
    "ldm_core.models.vq.VQModelInterface": _by_config(AutoencoderConfig),
    "ldm_core.models.unet.UNetModel": _by_config(UNetConfig),
    "ldm_core.models.text.FrozenCLIPEmbedder": _by_config(TextConfig),
    "ldm_core.models.latent_diffusion.LatentDiffusion": _by_config(ModelConfig),
}
# CompVis' names of the same things
ALIASES = {
    "ldm.models.autoencoder.AutoencoderKL": "ldm_core.compvis.autoencoder.AutoencoderKL",
    "ldm.models.autoencoder.VQModel": "ldm_core.compvis.autoencoder.VQModel",
    "ldm.models.diffusion.ddpm.DDPM": "ldm_core.compvis.ddpm.DDPM",
    "ldm.models.diffusion.ddpm.LatentDiffusion": "ldm_core.compvis.latent_diffusion.LatentDiffusion",
    "ldm.models.diffusion.ddpm.LatentInpaintDiffusion": "ldm_core.compvis.latent_diffusion.LatentDiffusion",
    "ldm.models.autoencoder.VQModelInterface": "ldm_core.compvis.autoencoder.VQModel",
    "ldm.lr_scheduler.LambdaLinearScheduler": "ldm_core.compvis.options.LambdaLinear",
    "ldm.modules.losses.LPIPSWithDiscriminator": "ldm_core.compvis.losses.LPIPSWithDiscriminator",
    "ldm.modules.losses.vqperceptual.VQLPIPSWithDiscriminator": "ldm_core.compvis.losses.VQLPIPSWithDiscriminator",
    "taming.modules.losses.vqperceptual.VQLPIPSWithDiscriminator": "ldm_core.compvis.losses.VQLPIPSWithDiscriminator",
}

# what CompVis' loss classes take by themselves, where ours have the values of its configuration files
LOSS_DEFAULTS = {"kl_weight": 1.0, "codebook_weight": 1.0, "disc_weight": 1.0}
LOSS_FIXED = {"n_classes": None, "perceptual_loss": "lpips", "pixel_loss": "l1"}


def _compvis_params(name: str, params: Mapping[str, Any]) -> dict[str, Any]:
    """The params of a CompVis target, with its own defaults where ours differ."""
    given = dict(params)
    if name.endswith("LPIPSWithDiscriminator"):
        if "disc_start" not in given:
            raise ValueError(f"{name} needs disc_start")
        for option, only in LOSS_FIXED.items():
            if given.pop(option, only) != only:
                raise ValueError(f"{name}: {option} can only be {only} here")
        return {**LOSS_DEFAULTS, **given}
    if name.endswith("LatentInpaintDiffusion") and given.pop("finetune_keys", None) is not None:
        raise ValueError(f"{name}: finetune_keys widens a checkpoint's first layer, which is not done here")
    return given


def model_from_yaml(path: str | Path) -> Any:
    """The object that the section `model` of a CompVis YAML file describes; other sections are not read.

    Raises ValueError with one sentence for a file that cannot be read or is no such configuration, and where a
    target or an option is not known, by its name.
    """
    import yaml

    text = read_text(path)
    if re.search(r"(?m)(^|[\s\[{,:-])[&*][A-Za-z0-9_-]+\s*($|[,\]}\n])", text):
        raise ValueError(f"{path} has YAML anchors, which CompVis' files do not have and which can grow without end")

    # YAML 1.1 takes 1e-6 for text; the files mean a number
    loader: Any = type("Loader", (yaml.SafeLoader,), {})
    number = re.compile(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)[eE][-+]?[0-9]+$")
    loader.add_implicit_resolver("tag:yaml.org,2002:float", number, list("-+0123456789."))
    try:
        # a subclass of the safe loader: it makes numbers, text, lists and dictionaries
        values = yaml.load(text, loader)  # noqa: S506
    except yaml.YAMLError as error:
        raise ValueError(f"{path} is no YAML: {str(error).splitlines()[0]}") from error
    except RecursionError:
        raise ValueError(f"{path} is nested too deeply") from None
    model = values.get("model") if isinstance(values, Mapping) else None
    if not isinstance(model, Mapping):
        raise ValueError(f"{path} has no section 'model'")
    return instantiate_from_config(model)


def instantiate_from_config(config: Mapping[str, Any]) -> Any:
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
    params = config.get("params") or {}
    try:
        return TARGETS[known](cls, _compvis_params(str(name), params) if name in ALIASES else params)
    except TypeError as error:
        raise ValueError(f"{name} does not take these params: {error}") from error
