"""Upsampling by four small convolutions is the same function for 4/9 of the work; rows of the largest cosine."""

from __future__ import annotations

from fractions import Fraction

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from ldm_core.models.ops import Upsample, nearest_rows


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16], ids=str)
@torch.no_grad()
def test_upsampling_is_four_small_convolutions_in_fp32(dtype: torch.dtype):
    torch.manual_seed(0)
    stored = Upsample(6).to(dtype)
    interleaved, plain = stored.interleaved(), stored.float()
    x = torch.randn(2, 6, 5, 7)
    torch.testing.assert_close(interleaved(x), plain(x), atol=2e-6, rtol=1e-5)


def multiply_adds(module: torch.nn.Module) -> int:
    with FlopCounterMode(display=False) as counter:
        module(torch.zeros(1, 6, 8, 8))
    return counter.get_total_flops() // 2


def test_it_has_four_ninths_of_the_multiply_adds():
    plain = Upsample(6)
    assert Fraction(multiply_adds(plain.interleaved()), multiply_adds(plain)) == Fraction(4, 9)


def test_nearest_rows_are_those_of_the_largest_cosine():
    g = torch.Generator().manual_seed(0)
    table = torch.randn(20, 16, generator=g)
    rows, cosines = nearest_rows(table[3:7] + 0.01, table)
    assert rows.tolist() == [3, 4, 5, 6] and bool((cosines > 0.99).all())
