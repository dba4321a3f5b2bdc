"""Tiles cover everything, blend without a seam, and keep memory flat."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

import ldm_core
from ldm_core.pipeline import finish
from ldm_core.runtime.tiling import OVERLAP_PIXELS, decode_tiled, ramp, tile_starts

EMBEDDED = Path(__file__).parents[2] / "weights" / "emoji-128.safetensors"


@given(st.integers(1, 300), st.integers(20, 64), st.integers(1, 16))
def test_tiles_cover_and_overlap(length: int, side: int, overlap: int):
    starts = tile_starts(length, side, overlap)
    assert starts[0] == 0 and (starts == [0] if length <= side else starts[-1] == length - side)
    assert all(0 < b - a <= side - overlap for a, b in pairwise(starts))


def test_ramp_rises_and_falls_only_towards_neighbours():
    assert ramp(400, 128, False, False).tolist() == [1.0] * 400
    both = ramp(400, 128, True, True)
    assert both[0] < 0.01 and both[-1] < 0.01 and both[200] == 1.0
    torch.testing.assert_close(both[:128] + both[-128:], torch.ones(128))


def test_a_decoder_without_context_is_the_same_in_tiles():
    z = torch.randn(2, 3, 100, 130)
    seen = []

    def decode(part: torch.Tensor) -> torch.Tensor:
        seen.append(part.shape[-2:])
        return F.interpolate(part, scale_factor=8.0)

    torch.testing.assert_close(decode_tiled(decode, z, 8), decode(z), atol=1e-5, rtol=1e-5)
    assert max(h * w for h, w in seen[:-1]) == 64 * 64
    assert OVERLAP_PIXELS // 8 == 16


@pytest.mark.parametrize("source", ["encoded", "sampled"])
def test_seams_of_the_embedded_model_are_below_one_level(source: str):
    """At 512 pixels in tiles of 256, where both ways are at hand: the mean difference is below 1/255."""
    pipe = ldm_core.load(EMBEDDED, dtype="float32", runtime="torch")
    if source == "sampled":
        z = finish(pipe.stream("a red apple", steps=5, height=512, width=512))
    else:
        small = torch.from_numpy(pipe.generate("a red apple", steps=5)[0]).permute(2, 0, 1)[None].float()
        large = F.interpolate(small, size=(512, 512), mode="bicubic").clamp(0, 255).round().byte()
        z = pipe.encode_image(large[0].permute(1, 2, 0).numpy())[None]
    with torch.no_grad():
        whole = pipe.model.decode_first_stage(z).clamp(-1, 1)
        tiled = decode_tiled(pipe.model.decode_first_stage, z, 8, tile=256).clamp(-1, 1)
    assert (whole - tiled).abs().mean() * 127.5 < 1.0
