"""Colours against published values and drawn pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ldm_core.data.colours import BACKGROUNDS, nearest_colour, to_lab
from ldm_core.data.names import TONES
from ldm_core.evaluation.colours import background_of, border_median
from ldm_core.evaluation.tones import skin_colours, tone_of, tone_palettes, toned_pairs
from ldm_core.images import composite
from tests.evaluation.made_up import SIDE, SKIN, face, make_corpus

PALETTE = np.array(list(SKIN.values()), float)


@pytest.mark.parametrize(
    ("rgb", "lab"),  # Lindbloom's calculator, D65
    [
        ((255, 255, 255), (100, 0, 0)),
        ((0, 0, 0), (0, 0, 0)),
        ((255, 0, 0), (53.24, 80.09, 67.20)),
        ((0, 255, 0), (87.73, -86.18, 83.18)),
        ((0, 0, 255), (32.30, 79.19, -107.86)),
        ((119, 119, 119), (50.03, 0, 0)),
    ],
)
def test_lab(rgb: tuple[int, ...], lab: tuple[float, ...]):
    assert to_lab(np.array(rgb)) == pytest.approx(np.array(lab), abs=0.02)


@pytest.mark.parametrize("name", BACKGROUNDS)
def test_ground_is_read_around_a_drawing_and_through_noise(name: str):
    colour = np.array([BACKGROUNDS[name]], np.uint8)
    picture = composite(face("medium", 128)[None], colour)[0]
    assert border_median(picture).tolist() == colour[0].tolist()
    picture[:, 40:60] = 0  # something that reaches the edge
    noise = np.random.default_rng(0).normal(0, 8, picture.shape)
    assert background_of((picture + noise).clip(0, 255).astype(np.uint8), BACKGROUNDS) == name


def test_nearest_colour_is_as_seen():
    assert nearest_colour(np.array((250, 250, 245)), BACKGROUNDS) == "white"
    assert nearest_colour(np.array((200, 60, 60)), BACKGROUNDS) == "red"


def test_skin_is_what_differs_between_tones():
    found = skin_colours(np.stack([face(tone) for tone in TONES]))
    assert found is not None and np.abs(found - PALETTE).max() == 0
    same = np.stack([face("dark")] * 5)
    assert skin_colours(same) is None


@pytest.mark.parametrize("tone", TONES)
def test_tone_is_read_on_any_ground(tone: str):
    for name in ("white", "blue", "green"):
        picture = composite(face(tone, 64)[None], np.array([BACKGROUNDS[name]], np.uint8))[0]
        dim = (picture * 0.97).astype(np.uint8)
        assert TONES[tone_of(dim, PALETTE)] == tone


def test_no_skin_is_no_tone():
    assert tone_of(np.full((SIDE, SIDE, 3), (30, 60, 220), np.uint8), PALETTE) == -1


def test_palettes_come_from_training_drawings(tmp_path: Path):
    corpus = make_corpus(tmp_path / "corpus")
    assert list(toned_pairs(corpus, corpus.heldout)) == [("man waving", "noto style")]
    palettes = tone_palettes(corpus)
    assert list(palettes) == ["noto style"] and np.abs(palettes["noto style"] - PALETTE).max() == 0
