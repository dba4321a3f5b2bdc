"""The configurations that come with the library, by name: Stable Diffusion v1, the embedded model and its relatives."""

from __future__ import annotations

from dataclasses import replace

from ldm_core.config import AutoencoderConfig, ModelConfig, ScheduleConfig, TextConfig, UNetConfig

IDENTITY = AutoencoderConfig(kind="identity", ch_mult=(1,), embed_dim=3)  # diffusion on pixels

SD_SCHEDULE = ScheduleConfig(linear_start=0.00085, linear_end=0.012)

SD_V1 = ModelConfig(
    name="sd-v1",
    first_stage=AutoencoderConfig(),
    unet=UNetConfig(),
    text=TextConfig(),
    schedule=SD_SCHEDULE,
    default_guidance=7.5,
)

EMOJI_128 = ModelConfig(
    name="emoji-128",
    first_stage=AutoencoderConfig(ch=16, ch_mult=(1, 2, 4, 8), num_res_blocks=1, resolution=128, norm_groups=4),
    unet=UNetConfig(
        model_channels=64,
        channel_mult=(1, 2, 3),
        num_res_blocks=1,
        attention_resolutions=(2, 4),
        num_heads=4,
        context_dim=256,
        norm_groups=16,
    ),
    text=TextConfig(vocab=6144, text_len=32, width=256, layers=4, heads=4, intermediate=1024),
    schedule=SD_SCHEDULE,
    image_size=128,
    parameterization="v",
)

EMOJI_128_VQ = replace(
    EMOJI_128,
    name="emoji-128-vq",
    first_stage=replace(EMOJI_128.first_stage, kind="vq", double_z=False, n_embed=1024),
)
EMOJI_128_UNCONDITIONAL = replace(
    EMOJI_128,
    name="emoji-128-unconditional",
    unet=replace(EMOJI_128.unet, context_dim=None),
    text=None,
    conditioning_key=None,
)
EMOJI_128_STYLE = replace(
    EMOJI_128_UNCONDITIONAL,
    name="emoji-128-style",
    unet=replace(EMOJI_128_UNCONDITIONAL.unet, num_classes=8),  # seven styles, and none in particular
    conditioning_key="adm",
)

TINY = ModelConfig(
    name="tiny",
    first_stage=AutoencoderConfig(ch=32, ch_mult=(1, 2), num_res_blocks=1, resolution=32),
    unet=UNetConfig(
        model_channels=32,
        channel_mult=(1, 2),
        num_res_blocks=1,
        attention_resolutions=(1, 2),
        num_heads=2,
        context_dim=32,
    ),
    text=TextConfig(width=32, layers=2, heads=2, intermediate=64),
    schedule=SD_SCHEDULE,
    image_size=32,
)

PRESETS = {
    "SD_V1": SD_V1,
    "EMOJI_128": EMOJI_128,
    "EMOJI_128_VQ": EMOJI_128_VQ,
    "EMOJI_128_UNCONDITIONAL": EMOJI_128_UNCONDITIONAL,
    "EMOJI_128_STYLE": EMOJI_128_STYLE,
    "TINY": TINY,
}


def find_preset(name: str) -> ModelConfig:
    """The preset of that name, one of PRESETS; ValueError names those there are."""
    if name not in PRESETS:
        raise ValueError(f"no preset is called {name!r}; there are {', '.join(PRESETS)}")
    return PRESETS[name]
