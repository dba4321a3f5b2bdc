"""The options of CompVis' UNet that SD v1 does not set, against diffusers' modules with the same weights."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from diffusers.models.attention_processor import Attention, AttnProcessor
from diffusers.models.resnet import ResnetBlock2D
from torch import Tensor, nn

from ldm_core.config import AutoencoderConfig, UNetConfig
from ldm_core.models.attention import AttentionBlock, SpatialTransformer
from ldm_core.models.autoencoder import AttnBlock, AutoencoderKL
from ldm_core.models.unet import Resample, ResBlock, UNetModel, halve, repeat_cells

CONFIG = UNetConfig(
    model_channels=32, channel_mult=(1, 2), num_res_blocks=1, attention_resolutions=(2,), context_dim=None
)
RESBLOCK = {  # ours → diffusers'
    "in_layers.0": "norm1",
    "in_layers.2": "conv1",
    "emb_layers.1": "time_emb_proj",
    "out_layers.0": "norm2",
    "out_layers.3": "conv2",
    "skip_connection": "conv_shortcut",
}


def seeded(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("scale_shift", [False, True])
@pytest.mark.parametrize("change", [None, halve, repeat_cells])
def test_residual_blocks_are_the_peers(scale_shift: bool, change: object) -> None:
    torch.manual_seed(0)
    out = 64 if change is None else 32
    ours = ResBlock(32, out, replace(CONFIG, use_scale_shift_norm=scale_shift), change)  # type: ignore[arg-type]
    peer = ResnetBlock2D(
        in_channels=32,
        out_channels=out,
        temb_channels=128,
        eps=1e-5,
        up=change is repeat_cells,
        down=change is halve,
        time_embedding_norm="scale_shift" if scale_shift else "default",
    )
    named = {}
    for name, value in ours.state_dict().items():
        layer, _, kind = name.rpartition(".")
        named[f"{RESBLOCK[layer]}.{kind}"] = value
    peer.load_state_dict(named)
    x, emb = seeded(2, 32, 8, 8), seeded(2, 128)
    torch.testing.assert_close(ours(x, emb), peer(x, emb), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("heads", [1, 4])
def test_attention_without_context_is_the_peers(heads: int) -> None:
    """CompVis keeps each head's query, key and value together; the peer has three layers."""
    torch.manual_seed(0)
    ours = AttentionBlock(32, heads)
    peer = Attention(
        32,
        heads=heads,
        dim_head=32 // heads,
        bias=True,
        norm_num_groups=32,
        eps=1e-5,
        residual_connection=True,
        processor=AttnProcessor(),
    )
    weight, bias = ours.qkv.weight[..., 0].reshape(heads, 3, -1, 32), ours.qkv.bias.reshape(heads, 3, -1)
    named = {"group_norm.weight": ours.norm.weight, "group_norm.bias": ours.norm.bias}
    for i, part in enumerate(("to_q", "to_k", "to_v")):
        named |= {f"{part}.weight": weight[:, i].reshape(32, 32), f"{part}.bias": bias[:, i].reshape(32)}
    named |= {"to_out.0.weight": ours.proj_out.weight[..., 0], "to_out.0.bias": ours.proj_out.bias}
    peer.load_state_dict(named)
    x = seeded(2, 32, 4, 6)
    torch.testing.assert_close(ours(x), peer(x), rtol=1e-5, atol=1e-5)


def kinds(config: UNetConfig) -> set[type[nn.Module]]:
    return {type(module) for module in UNetModel(config).modules()}


def test_every_option_builds_a_network_that_answers() -> None:
    x, t = seeded(2, 4, 8, 8), torch.tensor([3, 9])
    for options in (
        {"num_head_channels": 16},
        {"use_spatial_transformer": False},
        {"use_scale_shift_norm": True},
        {"resblock_updown": True},
        {"conv_resample": False},
    ):
        assert UNetModel(replace(CONFIG, **options))(x, t).shape == x.shape
    plain = UNetModel(replace(CONFIG, use_spatial_transformer=False, num_head_channels=16))
    assert {m.heads for m in plain.modules() if isinstance(m, AttentionBlock)} == {4}, "64 channels, 16 a head"
    assert SpatialTransformer not in kinds(plain.config)
    assert Resample in kinds(replace(CONFIG, conv_resample=False))
    updown = {name for name, _ in UNetModel(replace(CONFIG, resblock_updown=True)).named_parameters()}
    assert "input_blocks.2.0.in_layers.2.weight" in updown, "CompVis' key of a residual block that halves"


def test_dropout_reaches_only_what_compvis_drops() -> None:
    network = UNetModel(replace(CONFIG, dropout=0.3))
    rates = {name: m.p for name, m in network.named_modules() if isinstance(m, nn.Dropout)}
    assert {rate for name, rate in rates.items() if "out_layers" in name} == {0.3}
    assert {rate for name, rate in rates.items() if "transformer_blocks" in name} == {0.0}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"num_head_channels": 48}, "num_head_channels=48"),
        ({"use_spatial_transformer": False, "context_dim": 8}, "needs use_spatial_transformer"),
    ],
)
def test_options_that_cannot_be(options: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        replace(CONFIG, **options)


def test_an_autoencoder_without_attention() -> None:
    """Published first stages of inpainting have none; their files then have no such keys."""
    config = AutoencoderConfig(ch=32, ch_mult=(1, 2), num_res_blocks=1, attn_resolutions=(16,), resolution=16)
    bare = AutoencoderKL(replace(config, attn_type="none"))
    assert not [m for m in bare.modules() if isinstance(m, AttnBlock)]
    assert bare.state_dict().keys() == {n for n in AutoencoderKL(config).state_dict() if "attn" not in n}
    assert bare(seeded(1, 3, 16, 16))[0].shape == (1, 3, 16, 16)
