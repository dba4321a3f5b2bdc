"""Where a word looks: peaks against masks, and maps of the embedded UNet against its own attention."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import ldm_core
from ldm_core.data.scenes.captions import Caption
from ldm_core.evaluation.pointing import finest_map, pointing_game, points

WEIGHTS = Path(__file__).parents[2] / "weights" / "emoji-128.safetensors"


def test_a_peak_in_or_beside_the_mask_points_right():
    mask = torch.zeros(64, 64, dtype=torch.bool)
    mask[16:24, 16:24] = True  # one cell of 8×8
    attention = torch.zeros(8, 8)
    for cell, right in (((2, 2), True), ((3, 1), True), ((2, 4), False), ((7, 7), False)):
        attention.zero_()
        attention[cell] = 1.0
        assert points(attention, mask) == (right, pytest.approx(9 / 64))


@pytest.mark.slow
def test_maps_are_of_the_finest_layer_and_sum_to_one():
    pipe = ldm_core.load(WEIGHTS, "cpu", "float32")
    image = np.full((128, 128, 3), 255, np.uint8)
    image[20:60, 20:60] = (214, 48, 49)
    found = finest_map(pipe, image, "a red car and a blue star", 0)
    assert found.shape == (8, 8, 32)
    assert (finest_map(pipe, image[:, ::-1].copy(), "a red car and a blue star", 0) - found).abs().max() > 0.01
    torch.testing.assert_close(found.sum(-1), torch.ones(8, 8))
    owner = np.zeros((1, 128, 128), np.uint8)
    owner[0, 20:60, 20:60] = 1
    owner[0, 90:, 90:] = 2
    metric = pointing_game(pipe, image[None], owner, [Caption("a red car and a blue star", ((6, 9), (21, 25)))], 0)
    assert metric.n == 2 and metric.value in (0.0, 0.5, 1.0) and "chance" in metric.note
