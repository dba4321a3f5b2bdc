"""CompVis' configuration files → our config values.

Options that a file leaves out get the defaults of CompVis' classes, not SD v1's; an option that changes the computation
and that our modules do not have is refused by name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from ldm_core.compvis.encoders import ClassEmbedder, SpatialRescaler
from ldm_core.config import AutoencoderConfig, TextConfig, UNetConfig, build_config
from ldm_core.models.first_stage import make_first_stage

UNET = "ldm.modules.diffusionmodules.openaimodel.UNetModel"
KL, VQ = "ldm.models.autoencoder.AutoencoderKL", "ldm.models.autoencoder.VQModelInterface"
IDENTITY = "ldm.models.autoencoder.IdentityFirstStage"
TEXT = "ldm.modules.encoders.modules.FrozenCLIPEmbedder"
CLASSES = "ldm.modules.encoders.modules.ClassEmbedder"
RESCALER = "ldm.modules.encoders.modules.SpatialRescaler"
MODULE = "torch.nn.Identity"
CLIP = "openai/clip-vit-large-patch14"  # the one text tower of CompVis' FrozenCLIPEmbedder; its sizes are our defaults


@dataclass(frozen=True)
class Options:
    """A CompVis constructor: options without a default, defaults of the others, those that can have one value only
    here, and those that say how and not what to compute.
    """

    required: tuple[str, ...]
    defaults: Mapping[str, Any] = field(default_factory=dict)
    fixed: Mapping[str, Any] = field(default_factory=dict)
    ignored: tuple[str, ...] = ()

    def read(self, name: str, given: Mapping[str, Any]) -> dict[str, Any]:
        """All options that matter, absent ones filled in. ValueError names one that is missing, unknown or fixed."""
        if missing := [option for option in self.required if option not in given]:
            raise ValueError(f"{name} needs {missing[0]}")
        for option, only in self.fixed.items():
            if given.get(option, only) != only:
                raise ValueError(f"{name}: {option} can only be {only} here, not {given[option]!r}")
        known = {*self.required, *self.defaults, *self.fixed, *self.ignored}
        if unknown := sorted(set(given) - known):
            raise ValueError(f"{name} has no option {unknown[0]} here")
        kept = {option: value for option, value in given.items() if option not in (*self.fixed, *self.ignored)}
        return {**self.defaults, **kept}


UNET_OPTIONS = Options(
    required=("in_channels", "model_channels", "out_channels", "num_res_blocks", "attention_resolutions"),
    defaults={
        "dropout": 0.0,
        "channel_mult": (1, 2, 4, 8),
        "conv_resample": True,
        "num_classes": None,
        "num_heads": -1,
        "num_head_channels": -1,
        "use_scale_shift_norm": False,
        "resblock_updown": False,
        "use_spatial_transformer": False,
        "transformer_depth": 1,
        "context_dim": None,
    },
    fixed={"dims": 2, "n_embed": None, "use_new_attention_order": False, "num_heads_upsample": -1},
    # legacy changes the width of a head only where the channels are no multiple of it, which is refused
    ignored=("image_size", "use_checkpoint", "use_fp16", "legacy"),
)
NETWORK_OPTIONS = Options(  # ddconfig
    required=("ch", "out_ch", "num_res_blocks", "attn_resolutions", "in_channels", "resolution", "z_channels"),
    defaults={"ch_mult": (1, 2, 4, 8), "dropout": 0.0, "double_z": True, "attn_type": "vanilla"},
    fixed={"resamp_with_conv": True, "use_linear_attn": False, "give_pre_end": False, "tanh_out": False},
)
TRAINING = ("lossconfig", "monitor", "ckpt_path", "ignore_keys", "image_key", "colorize_nlabels")
VQ_TRAINING = ("batch_resize_range", "scheduler_config", "lr_g_factor", "use_ema")
FIRST_STAGES: dict[str, tuple[str, Options]] = {  # target → our kind, its options beside ddconfig
    KL: ("kl", Options(("ddconfig", "embed_dim"), ignored=TRAINING)),
    VQ: (
        "vq",
        Options(
            ("ddconfig", "embed_dim", "n_embed"),
            fixed={"remap": None, "sane_index_shape": False},
            ignored=(*TRAINING, *VQ_TRAINING),
        ),
    ),
    IDENTITY: ("identity", Options((), ignored=TRAINING)),
}
TEXT_OPTIONS = Options((), {"max_length": 77}, {"version": CLIP}, ("device",))
CLASS_OPTIONS = Options(("embed_dim",), {"n_classes": 1000, "key": "class"})
RESCALER_OPTIONS = Options(
    (),
    {"n_stages": 1, "method": "bilinear", "multiplier": 0.5, "in_channels": 3, "out_channels": None, "bias": False},
)


def params_of(config: Mapping[str, Any], *targets: str) -> tuple[str, dict[str, Any]]:
    """{"target": …, "params": {…}} → its target and params. ValueError for a target that is not in the list."""
    if "target" not in config:
        return targets[0], dict(config)
    if config["target"] not in targets:
        raise ValueError(f"target {config['target']!r} is none of {', '.join(targets)}")
    return str(config["target"]), dict(config.get("params") or {})


def unet_from(config: UNetConfig | Mapping[str, Any]) -> UNetConfig:
    """A UNetConfig, its fields, or CompVis' form (with a target)."""
    if isinstance(config, UNetConfig):
        return config
    _, params = params_of(config, UNET)
    if "target" not in config:
        return build_config(UNetConfig, params)
    options = UNET_OPTIONS.read("UNetModel", params)
    if options["num_heads"] == options["num_head_channels"] == -1:
        raise ValueError("UNetModel needs num_heads or num_head_channels")
    return build_config(UNetConfig, options)


def first_stage_from(config: AutoencoderConfig | Mapping[str, Any]) -> AutoencoderConfig:
    """An AutoencoderConfig, its fields, or CompVis' form (ddconfig beside embed_dim)."""
    if isinstance(config, AutoencoderConfig):
        return config
    target, params = params_of(config, *FIRST_STAGES)
    if "target" not in config:
        return build_config(AutoencoderConfig, {**params.pop("ddconfig", {}), **params})
    kind, options = FIRST_STAGES[target]
    own = options.read(target.rpartition(".")[2], params)
    if kind == "identity":
        return build_config(AutoencoderConfig, {"kind": kind, "ch_mult": (1,), "embed_dim": 3})
    return network_from(kind, own.pop("ddconfig"), **own)


def network_from(kind: str, ddconfig: Mapping[str, Any], **own: Any) -> AutoencoderConfig:
    """CompVis' ddconfig beside embed_dim (and n_embed) → the network."""
    if "double_z" not in ddconfig:
        raise ValueError("ddconfig must say double_z: true for a KL autoencoder, false for a VQ one")
    ours = {name: ddconfig[name] for name in ("norm_groups", "beta") if name in ddconfig}
    given = {name: value for name, value in ddconfig.items() if name not in ours}
    return build_config(AutoencoderConfig, {"kind": kind, **NETWORK_OPTIONS.read("ddconfig", given), **ours, **own})


def text_from(config: TextConfig | Mapping[str, Any]) -> TextConfig:
    """A TextConfig, its fields, or CompVis' FrozenCLIPEmbedder, whose sizes are our defaults."""
    if isinstance(config, TextConfig):
        return config
    _, params = params_of(config, TEXT)
    if "target" not in config:
        return build_config(TextConfig, params)
    return TextConfig(text_len=TEXT_OPTIONS.read("FrozenCLIPEmbedder", params)["max_length"])


def condition_from(config: Any) -> Any:
    """CompVis' cond_stage_config → a TextConfig, a module, or what was given where it is neither."""
    if not isinstance(config, Mapping) or config.get("target", TEXT) == TEXT:
        return config if not isinstance(config, Mapping) else text_from(config)
    target, params = params_of(config, TEXT, CLASSES, RESCALER, MODULE, KL, VQ)
    if target == CLASSES:
        return ClassEmbedder(**CLASS_OPTIONS.read("ClassEmbedder", params))
    if target == RESCALER:
        return SpatialRescaler(**RESCALER_OPTIONS.read("SpatialRescaler", params))
    return nn.Identity() if target == MODULE else make_first_stage(first_stage_from(config))
