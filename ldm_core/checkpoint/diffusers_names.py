"""Key names: a diffusers folder's ↔ ours, for any geometry."""

from __future__ import annotations

import re
from collections.abc import Iterable

from ldm_core.config import UNetConfig

UNET, VAE, TEXT = "model.diffusion_model.", "first_stage_model.", "cond_stage_model.transformer.text_model."
PARTS = {"unet": UNET, "vae": VAE, "text_encoder": TEXT}

RESNET = {
    "in_layers.0": "norm1",
    "in_layers.2": "conv1",
    "emb_layers.1": "time_emb_proj",
    "out_layers.0": "norm2",
    "out_layers.3": "conv2",
    "skip_connection": "conv_shortcut",
}
UNET_ENDS = {
    "time_embed.0": "time_embedding.linear_1",
    "time_embed.2": "time_embedding.linear_2",
    "input_blocks.0.0": "conv_in",
    "middle_block.0": "mid_block.resnets.0",
    "middle_block.1": "mid_block.attentions.0",
    "middle_block.2": "mid_block.resnets.1",
    "out.0": "conv_norm_out",
    "out.2": "conv_out",
}
VAE_ATTENTION = {"norm": "group_norm", "q": "to_q", "k": "to_k", "v": "to_v", "proj_out": "to_out.0"}
# what diffusers itself called those before 2023; published folders still do
OLD_VAE_ATTENTION = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}
VAE_RULES = (
    (r"\bmid\.block_1\.", "mid_block.resnets.0."),
    (r"\bmid\.block_2\.", "mid_block.resnets.1."),
    (r"\bmid\.attn_1\.", "mid_block.attentions.0."),
    (r"\bdown\.(\d+)\.block\.", r"down_blocks.\1.resnets."),
    (r"\bdown\.(\d+)\.attn\.", r"down_blocks.\1.attentions."),
    (r"\bdown\.(\d+)\.downsample\.", r"down_blocks.\1.downsamplers.0."),
    (r"\bup\.(\d+)\.block\.", r"up_blocks.\1.resnets."),
    (r"\bup\.(\d+)\.attn\.", r"up_blocks.\1.attentions."),
    (r"\bup\.(\d+)\.upsample\.", r"up_blocks.\1.upsamplers.0."),
    (r"\bnin_shortcut\.", "conv_shortcut."),
    (r"\bnorm_out\.", "conv_norm_out."),
)


def to_diffusers_names(names: Iterable[str], unet: UNetConfig, vae_levels: int) -> dict[str, tuple[str, str]]:
    """Our name → (folder, name there)."""
    blocks = _unet_blocks(unet)
    found = {}
    for name in names:
        part, prefix = next((part, prefix) for part, prefix in PARTS.items() if name.startswith(prefix))
        inner = name.removeprefix(prefix)
        if part == "unet":
            inner = _unet_name(inner, blocks)
        elif part == "vae":
            inner = _vae_name(inner, vae_levels)
        found[name] = (part, inner)
    return found


def to_current_name(part: str, name: str) -> str:
    """A stored name as diffusers says it today: without the text tower's old wrapper and the VAE's old words."""
    if part == "text_encoder":
        return name.removeprefix("text_model.")
    if part == "vae":
        words = "|".join(OLD_VAE_ATTENTION)
        return re.sub(rf"(attentions\.\d+)\.({words})\.", lambda m: f"{m[1]}.{OLD_VAE_ATTENTION[m[2]]}.", name)
    return name


def _unet_blocks(c: UNetConfig) -> dict[str, str]:
    """As input_blocks.4.1 → down_blocks.1.attentions.0, walked as UNetModel builds them."""
    names = dict(UNET_ENDS)
    attends = [2**level in c.attention_resolutions for level in range(len(c.channel_mult))]
    last, i = len(attends) - 1, 1
    for level, attend in enumerate(attends):
        for j in range(c.num_res_blocks):
            names[f"input_blocks.{i}.0"] = f"down_blocks.{level}.resnets.{j}"
            if attend:
                names[f"input_blocks.{i}.1"] = f"down_blocks.{level}.attentions.{j}"
            i += 1
        if level < last:
            names[f"input_blocks.{i}.0.op"] = f"down_blocks.{level}.downsamplers.0.conv"
            i += 1
    i = 0
    for up, attend in enumerate(reversed(attends)):
        for j in range(c.num_res_blocks + 1):
            names[f"output_blocks.{i}.0"] = f"up_blocks.{up}.resnets.{j}"
            if attend:
                names[f"output_blocks.{i}.1"] = f"up_blocks.{up}.attentions.{j}"
            if up < last and j == c.num_res_blocks:
                names[f"output_blocks.{i}.{1 + attend}.conv"] = f"up_blocks.{up}.upsamplers.0.conv"
            i += 1
    return names


def _unet_name(inner: str, blocks: dict[str, str]) -> str:
    block = max((b for b in blocks if inner.startswith(f"{b}.")), key=len)
    rest = inner.removeprefix(f"{block}.")
    if ".resnets." in blocks[block]:
        layer, _, kind = rest.rpartition(".")
        rest = f"{RESNET[layer]}.{kind}"
    return f"{blocks[block]}.{rest}"


def _vae_name(inner: str, levels: int) -> str:
    for rule, name in VAE_RULES:
        inner = re.sub(rule, name, inner)
    # their decoder counts in running order, ours by resolution
    inner = re.sub(r"\bup_blocks\.(\d+)", lambda m: f"up_blocks.{levels - 1 - int(m[1])}", inner)
    words = "|".join(VAE_ATTENTION)
    return re.sub(rf"(attentions\.\d+)\.({words})\.", lambda m: f"{m[1]}.{VAE_ATTENTION[m[2]]}.", inner)
