"""The table of blocks is the model's: nothing is missing, and work is counted as by hand."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
import torch

from app.labs.architecture.blocks import blocks, conditioning_weights, cost_plot
from app.labs.architecture.drawing import HEIGHT, WIDTH, drawing
from ldm_core.config import ModelConfig
from ldm_core.models.latent_diffusion import DiffusionWrapper, LatentDiffusion
from ldm_core.presets import EMOJI_128, SD_V1, TINY


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


@pytest.mark.parametrize("config", [TINY, EMOJI_128], ids=["tiny", "emoji-128"])
def test_a_condition_enters_by_the_weights_that_are_listed(config: ModelConfig):
    listed = conditioning_weights(config)
    assert list(listed) == ["None", "concat", "crossattn", "hybrid", "adm"] and listed["None"] == []
    assert listed["concat"] == ["input_blocks.0.0.weight"] and listed["adm"] == ["label_emb.weight"]
    assert listed["hybrid"] == listed["concat"] + listed["crossattn"]
    with torch.device("meta"):
        unet = DiffusionWrapper(config.unet, "crossattn").diffusion_model
    readers = {name for name, m in unet.named_modules() if name.endswith("attn2")}
    assert {name.rpartition(".to_")[0] for name in listed["crossattn"]} == readers
    assert len(listed["crossattn"]) == 2 * len(readers)


@pytest.mark.parametrize(("config", "part"), [(EMOJI_128, "unet"), (SD_V1, "unet"), (EMOJI_128, "text")])
def test_the_drawing_has_every_block_once_and_every_skip(config: ModelConfig, part: str):
    rows = blocks(config, part, config.image_size, config.image_size)
    svg = drawing(rows, "label", has_context=True)
    assert sorted(re.findall(r'class="name">([^<]+)<', svg)) == sorted(row.name for row in rows)
    boxes = [tuple(map(float, place)) for place in re.findall(r'<rect x="([^"]+)" y="([^"]+)"', svg)]
    apart = [abs(a - b) >= WIDTH or abs(y - z) >= HEIGHT for k, (a, y) in enumerate(boxes) for b, z in boxes[:k]]
    assert len(boxes) == len(rows) and all(apart)
    assert svg.count("<line") == sum(row.name.startswith("input_blocks.") for row in rows)
    readers = sum("SpatialTransformer" in row.kind for row in rows)
    assert svg.count("context") == readers and "context" not in drawing(rows, "label", has_context=False)


def test_a_network_with_more_input_channels_is_measured_too():
    config = replace(TINY, unet=replace(TINY.unet, in_channels=8), conditioning_key="hybrid")
    rows = {row.name: row for row in blocks(config, "unet", 32, 32)}
    plain = {row.name: row for row in blocks(TINY, "unet", 32, 32)}
    assert rows["input_blocks.0"].flops == 2 * plain["input_blocks.0"].flops
