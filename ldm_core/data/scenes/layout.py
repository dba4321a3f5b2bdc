"""Where the things of a scene stand: boxes inside the picture, apart from each other, in the order asked for."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ldm_core.data.corpus import SIZE
from ldm_core.data.scenes.structure import Box, Relation

Shape = tuple[int, int]  # height and width of a drawing cut to its ink

MARGIN = 3  # pixels to the edge
GAP = 5  # pixels between two drawings
STEEP = 1.6  # "left of" needs a sideways distance so many times the other one
LONGEST = {1: (64, 118), 2: (52, 70), 3: (42, 56), 4: (40, 52)}  # pixels of a drawing's longer side, by their number
TRIES = 60


def place_one(rng: np.random.Generator, shape: Shape, longest: tuple[int, int] = LONGEST[1]) -> Box:
    """Anywhere, its longer side uniform in `longest`."""
    return _anywhere(rng, shape, int(rng.integers(longest[0], longest[1] + 1)))


def place(rng: np.random.Generator, shapes: Sequence[Shape], relation: Relation = "") -> tuple[Box, ...] | None:
    """Two to four boxes that do not touch; of two, the first `relation` of the second. None where none were found."""
    low, high = LONGEST[len(shapes)]
    for _ in range(TRIES):
        size = int(rng.integers(low, high + 1))  # all about alike, so that none is a detail of another
        boxes: list[Box] = []
        for shape in shapes:
            box = _anywhere(rng, shape, round(size * rng.uniform(0.9, 1.1)))
            for _ in range(TRIES // 2):
                if all(apart(box, other) for other in boxes):
                    break
                box = _anywhere(rng, shape, round(size * rng.uniform(0.9, 1.1)))
            boxes.append(box)
        apart_all = all(apart(a, b) for i, a in enumerate(boxes) for b in boxes[:i])
        if apart_all and (not relation or relation_of(boxes[0], boxes[1]) == relation):
            return tuple(boxes)
    return None


def apart(a: Box, b: Box) -> bool:
    """Whether there is a gap between two boxes."""
    aside = a.right + GAP <= b.left or b.right + GAP <= a.left
    return aside or a.bottom + GAP <= b.top or b.bottom + GAP <= a.top


def relation_of(a: Box, b: Box) -> Relation:
    """Where a is, seen from b; "" where it is neither clearly beside nor clearly above or below."""
    dx, dy = a.centre[0] - b.centre[0], a.centre[1] - b.centre[1]
    if abs(dx) >= STEEP * abs(dy):
        return "left" if dx < 0 else "right"
    if abs(dy) >= STEEP * abs(dx):
        return "above" if dy < 0 else "below"
    return ""


def _anywhere(rng: np.random.Generator, shape: Shape, longest: int) -> Box:
    height, width = (max(4, round(longest * side / max(shape))) for side in shape)
    left = int(rng.integers(MARGIN, SIZE - MARGIN - width + 1))
    top = int(rng.integers(MARGIN, SIZE - MARGIN - height + 1))
    return Box(left, top, left + width, top + height)
