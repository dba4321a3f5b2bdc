"""The linear preview shows what the decoder will show, for a small part of its price."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

import ldm_core
from ldm_core.pipeline import finish
from ldm_core.runtime.preview import MOST_PIXELS, LinearPreview

EMBEDDED = Path(__file__).parents[2] / "weights" / "emoji-128.safetensors"


def linear_decoder(z: Tensor) -> Tensor:
    """A decoder that is itself what is fitted."""
    mix = torch.tensor([[0.2, 0.1, 0.0, -0.1], [0.0, 0.2, 0.1, 0.0], [0.1, 0.0, -0.2, 0.1]])
    return F.interpolate(torch.einsum("oc,bchw->bohw", mix, z).clamp(-1, 1), scale_factor=8.0)


def test_linear_decoder_is_found():
    torch.manual_seed(0)
    preview = LinearPreview(linear_decoder, 4, 8)
    colours = 0.5 * torch.randn(8, 4, 1, 1, generator=torch.Generator().manual_seed(2))
    z = colours.expand(-1, -1, 32, 32)  # areas of one colour, which no interpolation changes
    assert preview(z).shape == (8, 3, 256, 256)
    inside = slice(32, -32)  # beyond the border there is nothing, and the map has learned that
    difference = (preview(z) - linear_decoder(z))[:, :, inside, inside]
    assert difference.abs().max() < 0.05


@pytest.mark.parametrize(("shape", "size"), [((16, 16), (128, 128)), ((96, 64), (192, 128)), ((400, 200), (400, 200))])
def test_size_is_bounded(shape: tuple[int, int], size: tuple[int, int]):
    made = LinearPreview(linear_decoder, 4, 8)(torch.randn(1, 4, *shape))
    assert made.shape[-2:] == size and max(size) <= max(MOST_PIXELS, *shape)


def test_embedded_models_preview_is_its_picture_blurred():
    """Within 24 dB of the picture at one value a cell, and at most a hundredth of the decoder's time."""
    pipe = ldm_core.load(EMBEDDED, dtype="float32", runtime="torch")
    z = finish(pipe.stream("a red apple", steps=8, batch=2))
    with torch.no_grad():
        picture = pipe.model.decode_first_stage(z).clamp(-1, 1)
        preview = LinearPreview(pipe.model.decode_first_stage, 4, 8)
    error = F.avg_pool2d(preview(z) - picture, 8) / 2
    assert -10 * error.square().mean().log10() > 22

    def seconds(function: Callable[[torch.Tensor], torch.Tensor]) -> float:
        start = time.process_time()
        with torch.no_grad():
            function(z)
        return time.process_time() - start

    assert min(seconds(preview) for _ in range(5)) < 0.05 * min(
        seconds(pipe.model.decode_first_stage) for _ in range(3)
    )
