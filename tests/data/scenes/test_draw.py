"""Pictures are what their scenes say: ink in the boxes, the background elsewhere, colours read as asked."""

from __future__ import annotations

import numpy as np
import pytest

from ldm_core.data.colours import BACKGROUNDS, THING_COLOURS, to_lab
from ldm_core.data.corpus import SIZE, Corpus
from ldm_core.data.scenes.draw import Drawings, draw
from ldm_core.data.scenes.recolour import read_colour, recolour
from ldm_core.data.scenes.sampling import CONTRAST, MIX, SceneSampler
from ldm_core.data.scenes.structure import Scene

COMPOSED = {kind: share for kind, share in MIX.items() if kind not in ("original", "moved")}


@pytest.fixture(scope="module")
def scenes(corpus: Corpus, drawings: Drawings) -> list[Scene]:
    sampler, rng = SceneSampler(corpus, drawings, COMPOSED), np.random.default_rng(3)
    return [sampler(rng) for _ in range(150)]


def test_ink_is_inside_the_boxes_and_the_ground_outside(scenes: list[Scene], drawings: Drawings):
    for scene in scenes:
        picture, owner = draw(scene, drawings)
        outside = np.ones((SIZE, SIZE), bool)
        for index, thing in enumerate(scene.things):
            own = np.zeros((SIZE, SIZE), bool)
            for box in thing.boxes:
                own[box.top : box.bottom, box.left : box.right] = True
                assert (owner[box.top : box.bottom, box.left : box.right] == index + 1).any()
            assert own[owner == index + 1].all()
            outside &= ~own
        assert (picture[outside] == BACKGROUNDS[scene.background]).all()
        assert not owner[outside].any()


def test_named_colours_are_the_ones_that_are_seen(scenes: list[Scene], drawings: Drawings):
    """Read from the finished picture: a thing's commonest named colour, ink and paper aside."""
    right = 0
    coloured = [(s, i) for s in scenes for i, t in enumerate(s.things) if t.colour not in ("", "black", "white")]
    for scene, index in coloured:
        picture, owner = draw(scene, drawings)
        pixels = picture[owner == index + 1]
        lab = to_lab(pixels)
        vivid = pixels[np.hypot(lab[:, 1], lab[:, 2]) > 14]
        nearest = np.linalg.norm(to_lab(vivid)[:, None] - to_lab(np.array(list(BACKGROUNDS.values()))), axis=-1)
        best = np.bincount(nearest.argmin(1), minlength=len(BACKGROUNDS)).argmax()
        right += list(BACKGROUNDS)[int(best)] == scene.things[index].colour
    assert len(coloured) > 40
    assert right >= 0.95 * len(coloured)


def test_things_stand_out_from_the_background(scenes: list[Scene], drawings: Drawings):
    """At the drawings' own size; in the picture resizing blends a little of the background into them."""
    for scene in scenes:
        for thing in scene.things:
            rgba = drawings.cut(thing.row, thing.colour if thing.recoloured else "")
            lab, background = to_lab(rgba[..., :3][rgba[..., 3] > 127]), to_lab(np.array(BACKGROUNDS[scene.background]))
            distance = np.linalg.norm(lab - background, axis=-1)
            assert np.median(distance) > CONTRAST - 2  # a quarter of the pixels decided


def test_a_seed_draws_the_same_scenes_again(corpus: Corpus, drawings: Drawings):
    one, two = (
        [s(rng) for _ in range(30)]
        for s, rng in ((SceneSampler(corpus, drawings), np.random.default_rng(9)) for _ in range(2))
    )
    assert one == two
    assert draw(one[0], drawings)[0].tobytes() == draw(two[0], Drawings(corpus))[0].tobytes()


@pytest.mark.parametrize("colour", list(THING_COLOURS))
def test_recolouring_scales_by_luminance_and_leaves_ink_and_paper(colour: str):
    """A drawing of two greys of one hue, with an outline and a highlight: ratios of luminance stay."""
    rgba = np.full((40, 40, 4), 255, np.uint8)
    rgba[:, :15, :3] = (120, 60, 60)
    rgba[:, 15:30, :3] = (60, 30, 30)
    rgba[:, 30:35, :3] = (10, 10, 10)
    painted = recolour(rgba, colour).astype(float)
    assert (painted[:, 30:] == rgba[:, 30:]).all()
    assert painted[0, 15, :3] == pytest.approx(painted[0, 0, :3] / 2, abs=40 if max(painted[0, 0]) == 255 else 1)
    assert read_colour(recolour(rgba[:, 15:30], colour)) == colour


def test_a_colour_is_read_only_where_half_of_the_pixels_have_it():
    rgba = np.full((30, 30, 4), 255, np.uint8)
    for third, name in enumerate(("red", "green", "blue")):
        rgba[10 * third : 10 * third + 10, :, :3] = BACKGROUNDS[name]
    assert read_colour(rgba) == ""
    rgba[:20, :, :3] = BACKGROUNDS["green"]
    assert read_colour(rgba) == "green"
    assert read_colour(np.zeros((8, 8, 4), np.uint8)) == ""
