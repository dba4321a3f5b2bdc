"""TokenCompose's loss against attention whose share inside a mask is known, and its gradient through a UNet's maps."""

from __future__ import annotations

import pytest
import torch

from ldm_core.models.attention import cross_attention_maps
from ldm_core.models.unet import UNetModel
from ldm_core.presets import TINY
from ldm_core.training.diffusion.grounding import grounding_loss

L, WORD = 6, 3


def attention(weights: torch.Tensor) -> torch.Tensor:
    """[h,w] attention paid to WORD → a map [1,2,h·w,L] that pays the rest to the first token."""
    looked = weights.flatten()[None, None, :, None].expand(1, 2, -1, 1)
    full = torch.zeros(1, 2, weights.numel(), L)
    full[..., WORD : WORD + 1] = looked
    full[..., :1] = 1 - looked
    return full


OWNER = torch.zeros(1, 8, 8, dtype=torch.uint8)
OWNER[0, :4, :4] = 1  # a quarter of the picture
WORDS = torch.tensor([[WORD, -1]], dtype=torch.int8)
ROWS = torch.tensor([True])


@pytest.mark.parametrize("side", [8, 4])
def test_even_attention_costs_what_lies_outside(side: int):
    maps = [attention(torch.full((side, side), 0.3))]
    assert float(grounding_loss(maps, OWNER, WORDS, ROWS)) == pytest.approx(0.75**2)


def test_attention_inside_is_free_and_outside_costs_all():
    inside = (OWNER[0] == 1).float() * 0.5
    assert float(grounding_loss([attention(inside)], OWNER, WORDS, ROWS)) == pytest.approx(0.0)
    assert float(grounding_loss([attention(0.5 - inside)], OWNER, WORDS, ROWS)) == pytest.approx(1.0)


def test_rows_left_out_and_words_not_there_cost_nothing():
    maps = [attention(torch.full((8, 8), 0.3))]
    assert float(grounding_loss(maps, OWNER, WORDS, ~ROWS)) == 0
    assert float(grounding_loss(maps, OWNER, torch.full_like(WORDS, -1), ROWS)) == 0


def test_its_gradient_reaches_the_keys_and_no_output_changes():
    torch.manual_seed(0)
    unet = UNetModel(TINY.unet)
    for parameter in unet.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    x, t, context = torch.randn(2, 4, 8, 8), torch.tensor([3, 500]), torch.randn(2, L, 32)
    with cross_attention_maps(unet) as maps:
        out = unet(x, t, context)
    assert torch.equal(out, unet(x, t, context)) and len(maps) > 2
    grounding_loss(maps.values(), OWNER.expand(2, 8, 8), WORDS.expand(2, 2), torch.tensor([True, True])).backward()
    moved = {name for name, p in unet.named_parameters() if p.grad is not None and p.grad.abs().max() > 0}
    assert any("attn2.to_k" in name for name in moved)
