"""What a file is that is not a whole SD v1 model: one sentence, told from names and shapes of its tensors."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

ADDITION = "which is an addition to a model and not a model"
ONLY = "only SD v1 geometry is read"

# A pattern that is searched for in every name → what has such names. The first that is found counts.
NAMES = tuple(
    (re.compile(pattern), what)
    for pattern, what in (
        (
            r"^lycoris_|hada_w[12]|lokr_w[12]|(^|\.)oft_(blocks|diag)|(^|\.)on_input$|^dylora",
            f"a LyCORIS file (LoHa, LoKr, (IA)³ or OFT), {ADDITION}",
        ),
        (r"(^|[._])lora([._]|$)|\.dora_scale$", f"a LoRA, {ADDITION}"),
        (r"^string_to_(param|token)$|^emb_params$|^clip_[lg]$|^<.*>$", f"a textual inversion embedding, {ADDITION}"),
        (r"^(320|640|768|1024|1280)$", f"a hypernetwork, {ADDITION}"),
        (r"^control_model\.|^control_|controlnet_", f"a ControlNet, {ADDITION}"),
        (r"^(image_proj|ip_adapter)\.|^adapter\.body\.", f"an IP-Adapter or T2I-Adapter, {ADDITION}"),
        (r"motion_modules\.", f"a motion module of AnimateDiff, {ADDITION}"),
        (r"^conditioner\.embedders\.|^edm_", f"an SDXL file; {ONLY}"),
        (r"(^|\.)joint_blocks\.", f"an SD v3 file; {ONLY}"),
        (r"(^|\.)(double|single)_blocks\.", f"a Flux file; {ONLY}"),
        (r"(^|\.)(down|up)_blocks\.\d+\.resnets\.\d+\.time_emb_proj\.", "a diffusers UNet without its folder"),
        (r"^low_scale_model\.", f"an upscaler (SD x4); {ONLY}"),
        (r"^cond_stage_model\.model\.", f"an SD v2 file (OpenCLIP text encoder); {ONLY}"),
        (r"^(model\.diffusion_model\.)?label_emb\.0\.0\.", f"an SDXL file; {ONLY}"),
        (
            r"^params(_ema)?(\.|$)|^model\.1\.sub\.|^(conv_first|conv_body|upconv1|upsample\.0)\."
            r"|^layers\.0\.residual_group\.|^body\.\d+\.(weight|rdb1\.)",
            "an upscaler, which enlarges finished pictures, and not a model that makes them",
        ),
        (
            r"^(encoder|decoder)\.(conv_in|mid_block|mid|down_blocks|up_blocks|down|up)\.",
            "a VAE alone, without UNet and text encoder",
        ),
        (r"^taesd|^[13]\.conv\.0\.weight$", "a TAESD preview decoder and not a model"),
        (r"^(diffusion_model\.)?input_blocks\.0\.0\.", "a UNet alone, without VAE and text encoder"),
        (r"^(text_model|transformer)\.|^vision_model\.", "a text or picture encoder alone, without UNet and VAE"),
    )
)
CHANNELS = {  # of the UNet's input, beside the four of the latent
    5: "a depth-to-image model (5 input channels); only text to image is read",
    7: "an upscaler (SD x4, 7 input channels); only text to image is read",
    8: "an InstructPix2Pix model (8 input channels); only text to image is read",
    9: "an inpainting model (9 input channels); inpainting here works with every model of 4, and needs no such file",
}
CONTEXTS = {1024: f"an SD v2 file (context of 1,024); {ONLY}", 2048: f"an SDXL file (context of 2,048); {ONLY}"}
PARTS = {
    "model.": "a UNet alone, without VAE and text encoder",
    "first_stage_model.": "a VAE alone, without UNet and text encoder",
    "cond_stage_model.": "a text encoder alone, without UNet and VAE",
}
UNET = "model.diffusion_model."
EMBEDDING_WIDTHS = (768, 1024, 1280)

Shape = Sequence[int]


def relative_by_name(names: Sequence[str]) -> str | None:
    """What has such names, as the end of "FILE is …"; None where no rule knows them."""
    return next((what for pattern, what in NAMES if any(pattern.search(name) for name in names)), None)


def relative_of(shapes: Mapping[str, Shape], unexpected: Sequence[str]) -> str | None:
    """What a file is that does not fit: name → shape of all its tensors, and the names that have no place.

    The end of "FILE is …", or None where no rule knows it.
    """
    known = relative_by_name(unexpected) or _by_shape(shapes)
    if known is not None or not shapes:
        return known
    return next((what for part, what in PARTS.items() if all(name.startswith(part) for name in shapes)), None)


def relative_by_channels(channels: int) -> str | None:
    """What a UNet is by its input channels; None for the 4 of text to image, and for what is not known."""
    return CHANNELS.get(channels)


def _by_shape(shapes: Mapping[str, Shape]) -> str | None:
    first = shapes.get(f"{UNET}input_blocks.0.0.weight", ())
    if len(first) == 4 and first[1] in CHANNELS:
        return CHANNELS[first[1]]
    key = shapes.get(f"{UNET}middle_block.1.transformer_blocks.0.attn2.to_k.weight", ())
    if len(key) == 2 and key[1] in CONTEXTS:
        return CONTEXTS[key[1]]
    flat = all(len(shape) in (1, 2) and shape[-1] in EMBEDDING_WIDTHS for shape in shapes.values())
    if flat and 1 <= len(shapes) <= 4 and not any(name.startswith(tuple(PARTS)) for name in shapes):
        return f"a textual inversion embedding, {ADDITION}"
    return None
