"""The geometry of a diffusers folder → ModelConfig.

Strict loading sees names and shapes only; every option of their config files that changes the computation and that
our modules do not have is therefore compared here with the one value they do have.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from ldm_core.checkpoint.errors import CheckpointError, one_line
from ldm_core.checkpoint.files import read_json
from ldm_core.checkpoint.relatives import ONLY, relative_by_channels
from ldm_core.config import (
    AutoencoderConfig,
    BetaSchedule,
    ModelConfig,
    Parameterization,
    ScheduleConfig,
    TextConfig,
    UNetConfig,
)
from ldm_core.presets import SD_V1

Options = dict[str, Any]

# what they call it → what we call it
BETA_SCHEDULES: dict[str, BetaSchedule] = {
    "scaled_linear": "linear",
    "linear": "sqrt_linear",
    "squaredcos_cap_v2": "cosine",
}
PREDICTIONS: dict[str, Parameterization] = {"epsilon": "eps", "sample": "x0", "v_prediction": "v"}

FIXED: dict[str, Options] = {
    "unet": {
        "act_fn": "silu",
        "norm_eps": 1e-5,
        "center_input_sample": False,
        "flip_sin_to_cos": True,
        "freq_shift": 0,
        "downsample_padding": 1,
        "mid_block_scale_factor": 1,
        "mid_block_type": "UNetMidBlock2DCrossAttn",
        "only_cross_attention": False,
        "dual_cross_attention": False,
        "class_embed_type": None,
        "num_class_embeds": None,
        "addition_embed_type": None,
        "encoder_hid_dim": None,
        "encoder_hid_dim_type": None,
        "resnet_time_scale_shift": "default",
        "time_embedding_type": "positional",
        "time_cond_proj_dim": None,
        "conv_in_kernel": 3,
        "conv_out_kernel": 3,
        "attention_type": "default",
    },
    "vae": {
        "act_fn": "silu",
        "shift_factor": None,
        "latents_mean": None,
        "latents_std": None,
        "use_quant_conv": True,
        "use_post_quant_conv": True,
        "mid_block_add_attention": True,
    },
    "text_encoder": {"layer_norm_eps": 1e-5},
    "scheduler": {"rescale_betas_zero_snr": False},
}


# pipelines and schedulers whose folders look like text to image with SD v1, and are not
PIPELINES = {
    "XL": f"an SDXL folder; {ONLY}",
    "Diffusion3": f"an SD v3 folder; {ONLY}",
    "Flux": f"a Flux folder; {ONLY}",
    "Upscale": f"an upscaler's folder; {ONLY}",
    "Depth2Img": "a depth-to-image folder; only text to image is read",
    "ControlNet": "a pipeline with a ControlNet; only the plain pipeline is read",
    "Adapter": "a pipeline with an adapter; only the plain pipeline is read",
}


def require_plain_pipeline(folder: Path) -> None:
    """CheckpointError where model_index.json names a pipeline of another kind."""
    index = read_json(folder / "model_index.json")
    pipeline = str(index.get("_class_name", "")) if isinstance(index, dict) else ""
    if what := next((what for word, what in PIPELINES.items() if word in pipeline), None):
        raise CheckpointError(f"{folder} is {what}")


def read_config(folder: Path) -> ModelConfig:
    """ModelConfig from the config files of unet, vae, text_encoder and scheduler. CheckpointError names the option."""
    parts = {part: _options(folder, part) for part in FIXED}
    try:
        config = _model(folder.resolve().name, parts)
    except (ValueError, TypeError, LookupError, ArithmeticError, AttributeError) as error:
        raise CheckpointError(f"the geometry in {folder} cannot be read: {one_line(error)}") from error
    return SD_V1 if _same_model(config, SD_V1) else config


def _options(folder: Path, part: str) -> Options:
    name = "scheduler_config.json" if part == "scheduler" else "config.json"
    try:
        options = read_json(folder / part / name)
    except CheckpointError as error:
        raise CheckpointError(f"{folder} has no readable {part}/{name}: {error}") from error
    if not isinstance(options, dict):
        raise CheckpointError(f"{folder}/{part}/{name} holds no options")
    for option, fixed in FIXED[part].items():
        value = options.get(option, fixed)
        if value != fixed and value not in ([fixed], [fixed] * len(options.get("down_block_types", ()))):
            raise CheckpointError(f"{folder}: {part} option {option} is {value!r}; only {fixed!r} is read here")
    kind = str(options.get("_class_name", ""))
    if "FlowMatch" in kind or kind.startswith("EDM") or options.get("use_flow_sigmas"):
        raise CheckpointError(
            f"{folder}: {part} {kind} is not of a discrete noise schedule, and only such are read here"
        )
    return options


def _model(name: str, parts: Mapping[str, Options]) -> ModelConfig:
    unet, vae, text, scheduler = (parts[part] for part in ("unet", "vae", "text_encoder", "scheduler"))
    first_stage = _read_vae(vae)
    _require_text_to_image(unet, text, first_stage.embed_dim)
    network, encoder = _read_unet(unet), _read_text(text)
    is_sd_v1 = _sorted(network) == _sorted(SD_V1.unet) and encoder == SD_V1.text
    return ModelConfig(
        name=name,
        first_stage=first_stage,
        unet=network,
        text=encoder,
        schedule=_read_schedule(scheduler),
        scale_factor=vae.get("scaling_factor", 0.18215),
        image_size=_equal("sample_size", unet.get("sample_size") or 64) * first_stage.downsampling,
        parameterization=_known("prediction_type", scheduler.get("prediction_type", "epsilon"), PREDICTIONS),
        default_guidance=(SD_V1 if is_sd_v1 else ModelConfig).default_guidance,
    )


def _sorted(unet: UNetConfig) -> UNetConfig:
    """The same network: which levels attend is a set."""
    return replace(unet, attention_resolutions=tuple(sorted(unet.attention_resolutions)))


def _require_text_to_image(unet: Options, text: Options, latent: int) -> None:
    """A UNet of other channels or another context loads, and fails at its first step."""
    channels, out = unet.get("in_channels", 4), unet.get("out_channels", 4)
    if channels != latent:
        what = relative_by_channels(channels) if isinstance(channels, int) else None
        raise ValueError(what or f"the UNet takes {channels} channels, the autoencoder's latents have {latent}")
    if out != latent:
        raise ValueError(f"the UNet answers {out} channels, the autoencoder's latents have {latent}")
    context, width = unet.get("cross_attention_dim", 1280), text.get("hidden_size", 512)
    if context != width:
        raise ValueError(f"the UNet's context is {context} wide, the text encoder's states are {width}")
    if width == 1024 and isinstance(unet.get("attention_head_dim"), list):
        raise ValueError(f"this is an SD v2 folder; {ONLY}")


def _read_unet(o: Options) -> UNetConfig:
    down: Sequence[str] = o["down_block_types"]
    known = {"CrossAttnDownBlock2D": True, "DownBlock2D": False}
    attends = [_known("down_block_types", kind, known) for kind in down]
    mirrored = [kind.replace("Down", "Up") for kind in reversed(down)]
    if list(o.get("up_block_types", mirrored)) != mirrored:
        raise ValueError(f"up_block_types {o['up_block_types']} do not mirror down_block_types")
    widths: Sequence[int] = o["block_out_channels"]
    return UNetConfig(
        in_channels=o.get("in_channels", 4),
        out_channels=o.get("out_channels", 4),
        model_channels=widths[0],
        channel_mult=_multipliers(widths),
        num_res_blocks=_equal("layers_per_block", o.get("layers_per_block", 2)),
        attention_resolutions=tuple(2**level for level, attend in enumerate(attends) if attend),
        # their "attention_head_dim" is the number of heads, by an old mistake they keep
        num_heads=_equal("attention_head_dim", o.get("num_attention_heads") or o.get("attention_head_dim", 8)),
        transformer_depth=_equal("transformer_layers_per_block", o.get("transformer_layers_per_block", 1)),
        context_dim=_equal("cross_attention_dim", o.get("cross_attention_dim", 1280)),
        norm_groups=o.get("norm_num_groups", 32),
    )


def _read_vae(o: Options) -> AutoencoderConfig:
    widths: Sequence[int] = o["block_out_channels"]
    known = {"AttnDownEncoderBlock2D": True, "DownEncoderBlock2D": False}
    attends = [_known("down_block_types", kind, known) for kind in o["down_block_types"]]
    resolution, channels = o.get("sample_size", 32), o.get("latent_channels", 4)
    return AutoencoderConfig(
        in_channels=o.get("in_channels", 3),
        out_ch=o.get("out_channels", 3),
        ch=widths[0],
        ch_mult=_multipliers(widths),
        num_res_blocks=o.get("layers_per_block", 1),
        attn_resolutions=tuple(resolution // 2**level for level, attend in enumerate(attends) if attend),
        resolution=resolution,
        z_channels=channels,
        embed_dim=channels,
        norm_groups=o.get("norm_num_groups", 32),
    )


def _read_text(o: Options) -> TextConfig:
    return TextConfig(
        vocab=o.get("vocab_size", 49408),
        text_len=o.get("max_position_embeddings", 77),
        width=o.get("hidden_size", 512),
        layers=o.get("num_hidden_layers", 12),
        heads=o.get("num_attention_heads", 8),
        intermediate=o.get("intermediate_size", 2048),
        hidden_act=o.get("hidden_act", "quick_gelu"),
    )


def _read_schedule(o: Options) -> ScheduleConfig:
    given = o.get("trained_betas")
    if given is not None:
        return ScheduleConfig(timesteps=len(given), given_betas=tuple(given))
    return ScheduleConfig(
        beta_schedule=_known("beta_schedule", o.get("beta_schedule", "linear"), BETA_SCHEDULES),
        timesteps=o.get("num_train_timesteps", 1000),
        linear_start=o.get("beta_start", 1e-4),
        linear_end=o.get("beta_end", 2e-2),
    )


def _known(option: str, value: str, names: Mapping[str, Any]) -> Any:
    if value not in names:
        raise ValueError(f"{option} is {value!r}, known are {', '.join(names)}")
    return names[value]


def _equal(option: str, value: Any) -> int:
    """One number, or a list of equal ones."""
    values = set(value) if isinstance(value, (list, tuple)) else {value}
    if len(values) != 1 or not isinstance(first := next(iter(values)), int):
        raise ValueError(f"{option} is {value}, where one number is needed")
    return first


def _multipliers(widths: Sequence[int]) -> tuple[int, ...]:
    if any(width % widths[0] for width in widths):
        raise ValueError(f"block_out_channels {widths} are not multiples of the first")
    return tuple(width // widths[0] for width in widths)


def _same_model(config: ModelConfig, preset: ModelConfig) -> bool:
    """Equal but for the name, and for the training resolution, which matters only where attention depends on it."""
    a, b = (asdict(replace(c, unet=_sorted(c.unet))) for c in (config, preset))
    for values in (a, b):
        del values["name"]
        if not values["first_stage"]["attn_resolutions"]:
            del values["first_stage"]["resolution"]
    return a == b
