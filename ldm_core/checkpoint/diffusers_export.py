"""A model → a diffusers folder that makes the same pictures there."""

from __future__ import annotations

import json
import os
import shutil
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from ldm_core.checkpoint.diffusers_config import BETA_SCHEDULES, FIXED, PREDICTIONS, Options
from ldm_core.checkpoint.diffusers_names import to_diffusers_names
from ldm_core.checkpoint.errors import CheckpointError
from ldm_core.checkpoint.files import Progress, Tensors, write_safetensors
from ldm_core.config import ModelConfig
from ldm_core.diffusion.schedule import NoiseSchedule

# our grid and our last ᾱ; without these diffusers clips latents and ends one step further
SCHEDULER = {"clip_sample": False, "set_alpha_to_one": False, "steps_offset": 1, "timestep_spacing": "leading"}
WEIGHTS = {
    "unet": "diffusion_pytorch_model.safetensors",
    "vae": "diffusion_pytorch_model.safetensors",
    "text_encoder": "model.safetensors",
}


def write_folder(
    tensors: Mapping[str, Tensor],
    config: ModelConfig,
    out: Path,
    dtype: torch.dtype,
    tokenizer_dir: Path,
    progress: Progress | None = None,
) -> None:
    """Write CompVis-named tensors as a diffusers folder `out`, which appears whole or not at all."""
    files = write_config(config) | _tokenizer_options(config)
    partial = out.with_name(f".{out.name}.{os.getpid()}.part")
    parts = _split(tensors, config, dtype)
    total = sum(t.numel() for part in parts.values() for t in part.values()) * dtype.itemsize
    try:
        done = 0
        for part, contents in parts.items():
            (partial / part).mkdir(parents=True)
            size = sum(t.numel() for t in contents.values()) * dtype.itemsize
            shifted = None if progress is None else _shifted(progress, done, total)
            write_safetensors(partial / part / WEIGHTS[part], contents, {"format": "pt"}, shifted)
            done += size
        for name, options in files.items():
            (partial / name).parent.mkdir(exist_ok=True)
            (partial / name).write_text(json.dumps(options, indent=2) + "\n", encoding="utf-8")
        for name in ("vocab.json", "merges.txt"):
            shutil.copyfile(tokenizer_dir / name, partial / "tokenizer" / name)
        partial.rename(out)
    except OSError as error:
        raise CheckpointError(f"{out} cannot be written: {error.strerror or error}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _split(tensors: Mapping[str, Tensor], config: ModelConfig, dtype: torch.dtype) -> dict[str, Tensors]:
    parts: dict[str, Tensors] = defaultdict(dict)
    for name, (part, inner) in to_diffusers_names(tensors, config.unet, len(config.first_stage.ch_mult)).items():
        tensor = tensors[name].to(dtype)
        linear = part == "vae" and ".attentions." in inner and tensor.ndim == 4  # theirs are linear layers
        parts[part][inner] = tensor.flatten(1) if linear else tensor
    return dict(parts)


def _shifted(progress: Progress, before: int, total: int) -> Progress:
    return lambda done, _part: progress(before + done, total)


def write_config(config: ModelConfig) -> dict[str, Options]:
    """Relative path → contents of the JSON files about the model. CheckpointError where diffusers has no word."""
    _exportable(config)
    return {
        "model_index.json": _index(),
        "unet/config.json": _unet_options(config),
        "vae/config.json": _vae_options(config),
        "text_encoder/config.json": _text_options(config),
        "scheduler/scheduler_config.json": _scheduler_options(config),
    }


SD_V1_OPTIONS: Options = {
    "num_head_channels": -1,
    "use_spatial_transformer": True,
    "use_scale_shift_norm": False,
    "resblock_updown": False,
    "conv_resample": True,
}


def _exportable(c: ModelConfig) -> None:
    needs = {
        "first_stage.kind 'kl'": c.first_stage.kind == "kl",
        "first_stage.embed_dim equal to z_channels": c.first_stage.embed_dim == c.first_stage.z_channels,
        "first_stage.ch_mult beginning with 1": c.first_stage.ch_mult[0] == 1,
        "unet.channel_mult beginning with 1": c.unet.channel_mult[0] == 1,
        "unet.num_classes None": c.unet.num_classes is None,
        "first_stage.attn_type 'vanilla'": c.first_stage.attn_type == "vanilla",
        "unet options as in SD v1": replace(c.unet, **SD_V1_OPTIONS) == c.unet,
        "text conditioning": c.text is not None and c.unet.context_dim is not None,
        "conditioning_key 'crossattn'": c.conditioning_key == "crossattn",
    }
    lacking = [need for need, met in needs.items() if not met]
    if lacking:
        raise CheckpointError(f"a diffusers folder of {c.name} would need {', '.join(lacking)}")


def _index() -> Options:
    return {
        "_class_name": "StableDiffusionPipeline",
        "feature_extractor": [None, None],
        "image_encoder": [None, None],
        "requires_safety_checker": False,
        "safety_checker": [None, None],
        "scheduler": ["diffusers", "DDIMScheduler"],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "tokenizer": ["transformers", "CLIPTokenizer"],
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"],
    }


def _unet_options(c: ModelConfig) -> Options:
    u = c.unet
    attends = [2**level in u.attention_resolutions for level in range(len(u.channel_mult))]
    return {
        **FIXED["unet"],
        "_class_name": "UNet2DConditionModel",
        "sample_size": c.image_size // c.first_stage.downsampling,
        "in_channels": u.in_channels,
        "out_channels": u.out_channels,
        "block_out_channels": [m * u.model_channels for m in u.channel_mult],
        "layers_per_block": u.num_res_blocks,
        "attention_head_dim": u.num_heads,
        "transformer_layers_per_block": u.transformer_depth,
        "cross_attention_dim": u.context_dim,
        "norm_num_groups": u.norm_groups,
        "down_block_types": ["CrossAttnDownBlock2D" if a else "DownBlock2D" for a in attends],
        "up_block_types": ["CrossAttnUpBlock2D" if a else "UpBlock2D" for a in reversed(attends)],
    }


def _vae_options(c: ModelConfig) -> Options:
    v = c.first_stage
    attends = [v.resolution // 2**level in v.attn_resolutions for level in range(len(v.ch_mult))]
    return {
        **FIXED["vae"],
        "_class_name": "AutoencoderKL",
        "sample_size": v.resolution,
        "in_channels": v.in_channels,
        "out_channels": v.out_ch,
        "latent_channels": v.z_channels,
        "block_out_channels": [m * v.ch for m in v.ch_mult],
        "layers_per_block": v.num_res_blocks,
        "norm_num_groups": v.norm_groups,
        "scaling_factor": c.scale_factor,
        "force_upcast": False,
        "down_block_types": ["AttnDownEncoderBlock2D" if a else "DownEncoderBlock2D" for a in attends],
        "up_block_types": ["AttnUpDecoderBlock2D" if a else "UpDecoderBlock2D" for a in reversed(attends)],
    }


def _text_options(c: ModelConfig) -> Options:
    assert c.text is not None  # _exportable
    t = c.text
    return {
        **FIXED["text_encoder"],
        "architectures": ["CLIPTextModel"],
        "model_type": "clip_text_model",
        "vocab_size": t.vocab,
        "max_position_embeddings": t.text_len,
        "hidden_size": t.width,
        "num_hidden_layers": t.layers,
        "num_attention_heads": t.heads,
        "intermediate_size": t.intermediate,
        "hidden_act": t.hidden_act,
        "bos_token_id": t.bos,
        "eos_token_id": t.eos,
        "pad_token_id": t.eos,
    }


def _scheduler_options(c: ModelConfig) -> Options:
    s = c.schedule
    names = {ours: theirs for theirs, ours in BETA_SCHEDULES.items()}
    predictions = {ours: theirs for theirs, ours in PREDICTIONS.items()}
    named = s.given_betas is None and s.beta_schedule in names and (s.beta_schedule != "cosine" or s.cosine_s == 8e-3)
    options: Options = {
        "_class_name": "DDIMScheduler",
        **SCHEDULER,
        "num_train_timesteps": s.timesteps if s.given_betas is None else len(s.given_betas),
        "beta_start": s.linear_start,
        "beta_end": s.linear_end,
        "prediction_type": predictions[c.parameterization],
        "trained_betas": None,
    }
    if named:
        return options | {"beta_schedule": names[s.beta_schedule]}
    return options | {"trained_betas": NoiseSchedule.from_config(s).betas.tolist()}


def _tokenizer_options(c: ModelConfig) -> dict[str, Options]:
    assert c.text is not None  # _exportable
    special = {"bos_token": "<|startoftext|>", "eos_token": "<|endoftext|>"}
    special |= {"unk_token": special["eos_token"], "pad_token": special["eos_token"]}
    options = {
        **special,
        "tokenizer_class": "CLIPTokenizer",
        "model_max_length": c.text.text_len,
        "do_lower_case": True,
    }
    return {"tokenizer/tokenizer_config.json": options, "tokenizer/special_tokens_map.json": special}
