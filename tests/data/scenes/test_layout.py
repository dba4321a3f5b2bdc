"""Boxes lie inside the picture, apart from each other, and in the relation that was asked for."""

from __future__ import annotations

import numpy as np
import pytest

from ldm_core.data.corpus import SIZE
from ldm_core.data.scenes.layout import FIRST, GAP, GRID, LONGEST, place, place_one, relation_of
from ldm_core.data.scenes.structure import Box, Relation

SHAPES = [(100, 40), (30, 90), (80, 80), (60, 100)]


def inside(box: Box) -> bool:
    return 0 <= box.left < box.right <= SIZE and 0 <= box.top < box.bottom <= SIZE


@pytest.mark.parametrize("relation", ["left", "right", "above", "below"])
def test_two_things_stand_as_asked(relation: Relation):
    rng = np.random.default_rng(0)
    found = [b for _ in range(60) if (b := place(rng, [SHAPES[0], SHAPES[1]], relation))]
    assert len(found) > 30
    for one, other in found:
        assert inside(one) and inside(other)
        clear = {
            "left": one.right + GAP <= other.left,
            "right": other.right + GAP <= one.left,
            "above": one.bottom + GAP <= other.top,
            "below": other.bottom + GAP <= one.top,
        }
        centre = {
            "left": one.centre[0] < other.centre[0],
            "right": one.centre[0] > other.centre[0],
            "above": one.centre[1] < other.centre[1],
            "below": one.centre[1] > other.centre[1],
        }
        assert centre[relation]
        assert any(clear.values())  # they do not touch, though a long one may reach past the other


@pytest.mark.parametrize("number", [2, 3, 4])
def test_many_things_do_not_touch(number: int):
    rng = np.random.default_rng(1)
    found = [b for _ in range(60) if (b := place(rng, [SHAPES[2]] * number))]
    assert len(found) > 40
    for boxes in found:
        canvas = np.zeros((SIZE, SIZE), int)
        for box in boxes:
            assert inside(box)
            canvas[box.top : box.bottom, box.left : box.right] += 1
        assert canvas.max() == 1


def test_one_thing_keeps_its_shape():
    rng = np.random.default_rng(2)
    for _ in range(50):
        box = place_one(rng, (100, 40))
        height, width = box.bottom - box.top, box.right - box.left
        assert inside(box)
        assert height in LONGEST[1]
        assert box.left % GRID == box.top % GRID == FIRST
        assert width == pytest.approx(0.4 * height, abs=1)


def test_a_relation_goes_by_the_longer_way():
    places = {"left": (20, 60), "right": (90, 40), "above": (60, 10), "below": (45, 90)}
    assert {way: relation_of(centre, (50, 50)) for way, centre in places.items()} == {way: way for way in places}
    assert relation_of((20, 30), (50, 50)) == "left" and relation_of((20, 30), (50, 50), 1.6) == ""
