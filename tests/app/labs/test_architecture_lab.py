"""The table of blocks is the model's: nothing is missing, and work is counted as by hand."""

from __future__ import annotations

import pytest
import torch

from app.labs.architecture import blocks, cost_plot
from ldm_core.config import EMOJI_128, SD_V1, TINY, ModelConfig
from ldm_core.models.latent_diffusion import LatentDiffusion


@pytest.mark.parametrize("config", [TINY, EMOJI_128], ids=["tiny", "emoji-128"])
def test_every_parameter_of_the_unet_is_in_one_block(config: ModelConfig):
    side = config.image_size
    with torch.device("meta"):
        unet = LatentDiffusion(config).model.diffusion_model
    rows = blocks(config, "unet", side, side)
    assert sum(row.parameters for row in rows) == sum(p.numel() for p in unet.parameters())
    assert rows[-1].shape == config.latent_shape()


def test_a_convolution_costs_two_operations_a_weight_and_position():
    rows = {row.name: row for row in blocks(TINY, "unet", 32, 32)}
    c, h, w = TINY.latent_shape(32, 32)
    assert rows["input_blocks.0"].flops == 2 * 9 * c * TINY.unet.model_channels * h * w


@pytest.mark.parametrize(("part", "shape"), [("encoder", (8, 64, 64)), ("decoder", (3, 512, 512)), ("text", (77, 768))])
def test_the_last_block_of_sd_v1_has_the_known_shape(part: str, shape: tuple[int, ...]):
    assert blocks(SD_V1, part, 512, 512)[-1].shape == shape


def test_the_unet_of_sd_v1_costs_what_is_known():
    """About 0.8 TFLOP for one row at 512 px (338 GMAC in the literature's counts, the attention included)."""
    flops = sum(row.flops for row in blocks(SD_V1, "unet", 512, 512))
    assert flops == pytest.approx(2 * 0.4e12, rel=0.2)
    assert "GFLOP" in cost_plot(blocks(TINY, "unet", 32, 32), "en").summary
