"""Reading scenes by parts: components, colours, places, and what counts as shown."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ldm_core.data.colours import BACKGROUNDS, THING_COLOURS
from ldm_core.data.scenes.structure import Box, Scene, Thing
from ldm_core.evaluation.components import background_colour, colour_of, connected_components, cut_out, separate
from ldm_core.evaluation.composing import Seen, shows, shows_layout

SIDE = 64


def canvas(background: str = "white") -> np.ndarray:
    return np.full((SIDE, SIDE, 3), BACKGROUNDS[background], np.uint8)


def paint(image: np.ndarray, left: int, top: int, side: int, colour: str) -> np.ndarray:
    image[top : top + side, left : left + side] = THING_COLOURS[colour]
    return image


def things_on(image: np.ndarray, background: str = "white"):
    return separate(image, background_colour(image, BACKGROUNDS[background]))


def test_components_are_scipys():
    ndimage = pytest.importorskip("scipy.ndimage")
    mask = np.random.default_rng(0).random((40, 50)) < 0.3
    labels, n = ndimage.label(mask, np.ones((3, 3)))
    found = connected_components(mask)
    assert len(found) == n
    for component in found:
        value = labels[component.mask]
        assert (value == value[0]).all() and component.mask.sum() == (labels == value[0]).sum()


@pytest.mark.parametrize("background", ["white", "blue", "black"])
def test_things_stand_apart_and_have_their_colours(background: str):
    image = paint(paint(canvas(background), 4, 6, 24, "red"), 36, 30, 20, "yellow")
    noise = np.random.default_rng(1).integers(-3, 4, image.shape)
    image = np.clip(image + noise, 0, 255).astype(np.uint8)
    found = things_on(image, background)
    assert [b.box for b in found] == [(4, 6, 28, 30), (36, 30, 56, 50)]
    assert [colour_of(image, b) for b in found] == ["red", "yellow"]


def test_specks_join_the_thing_they_belong_to():
    image = paint(paint(canvas(), 4, 20, 24, "red"), 36, 20, 24, "green")
    paint(image, 14, 13, 4, "orange")  # a flame above the first
    found = things_on(image)
    assert len(found) == 2 and found[0].box == (4, 13, 28, 44)


def test_a_face_and_its_eyes_are_one_thing_however_large_they_are():
    ring = paint(canvas(), 10, 10, 44, "yellow")
    ring[16:48, 16:48] = 255
    assert len(things_on(paint(ring, 24, 24, 16, "black"))) == 1


def test_a_thing_is_cut_out_alone_and_in_the_middle():
    image = paint(paint(canvas(), 2, 2, 20, "red"), 40, 40, 12, "blue")
    first = things_on(image)[0]
    crop = cut_out(image, first, np.array([255.0, 255, 255]), 48)
    inside = (np.abs(crop.astype(int) - THING_COLOURS["red"]).sum(-1) < 60).nonzero()
    assert crop.shape == (48, 48, 3) and abs(inside[0].mean() - 23.5) < 1 and abs(inside[1].mean() - 23.5) < 1
    assert not (np.abs(crop.astype(int) - THING_COLOURS["blue"]).sum(-1) < 60).any()


CAR, STAR = Thing("car", 0, (Box(0, 0, 9, 9),), "red"), Thing("star", 0, (Box(20, 0, 29, 9),), "blue")


def test_what_is_shown():
    scene = Scene("attribution", (CAR, STAR), "noto style")
    car, star = Seen("car", "red", (10, 30)), Seen("star", "blue", (50, 30))
    assert shows(scene, [star, car]) and shows(scene, [star, Seen("dog", "", (0, 0)), car])
    assert not shows(scene, [replace(car, colour="blue"), replace(star, colour="red")])
    assert not shows(scene, [car]) and not shows(scene, [])
    beside = replace(scene, kind="position", relation="left")
    assert shows(beside, [star, car]) and not shows(replace(beside, relation="right"), [star, car])


def test_a_number_is_exact():
    scene = Scene("count", (Thing("cat", 0, (Box(0, 0, 9, 9),) * 3),), "noto style")
    cat = Seen("cat", "orange", (0, 0))
    assert shows(scene, [cat] * 3) and not shows(scene, [cat] * 2) and not shows(scene, [cat] * 4)
    assert not shows(scene, [cat, cat, Seen("dog", "", (0, 0))])


def test_layout_is_right_whatever_the_things_are():
    scene = Scene("attribution", (CAR, STAR), "noto style")
    seen = [Seen("dog", "blue", (50, 30)), Seen("hat", "red", (10, 30))]
    assert shows_layout(scene, seen) and not shows(scene, seen)
    assert not shows_layout(scene, [replace(s, colour="red") for s in seen])
    three = Scene("count", (Thing("cat", 0, (Box(0, 0, 9, 9),) * 3),), "noto style")
    assert shows_layout(three, [Seen("dog", "", (0, 0))] * 3) and not shows_layout(three, seen)
