"""Where the things of a scene stand: boxes inside the picture, apart from each other, in the order asked for.

Few sizes, and places a latent cell apart: an autoencoder that halves three times sees a drawing that is moved by eight
pixels as the same latents, moved by one cell, which is what convolutions know by themselves. Moved by any number of
pixels it would be another 63 pictures of it to learn.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ldm_core.data.corpus import SIZE
from ldm_core.data.scenes.structure import Box, Relation

Shape = tuple[int, int]  # height and width of a drawing cut to its ink

GAP = 5  # pixels between two drawings
STEEP = 1.6  # "left of" needs a sideways distance so many times the other one
LONGEST = {
    1: (72, 88, 104),
    2: (56, 64),
    3: (44, 52),
    4: (44, 52),
}  # pixels of a drawing's longer side, by their number
GRID, FIRST = 8, 4  # a box's left and top are 4, 12, 20, …; why: module docstring
TRIES = 60


def place_one(rng: np.random.Generator, shape: Shape, longest: Sequence[int] = LONGEST[1]) -> Box:
    """Anywhere, its longer side one of `longest`."""
    return _anywhere(rng, shape, int(rng.choice(longest)))


def place(rng: np.random.Generator, shapes: Sequence[Shape], relation: Relation = "") -> tuple[Box, ...] | None:
    """Two to four boxes that do not touch; of two, the first `relation` of the second. None where none were found."""
    for _ in range(TRIES):
        size = int(rng.choice(LONGEST[len(shapes)]))  # all alike, so that none is a detail of another
        boxes: list[Box] = []
        for shape in shapes:
            box = _anywhere(rng, shape, size)
            for _ in range(TRIES // 2):
                if all(apart(box, other) for other in boxes):
                    break
                box = _anywhere(rng, shape, size)
            boxes.append(box)
        apart_all = all(apart(a, b) for i, a in enumerate(boxes) for b in boxes[:i])
        if apart_all and (not relation or relation_of(boxes[0].centre, boxes[1].centre, STEEP) == relation):
            return tuple(boxes)
    return None


def apart(a: Box, b: Box) -> bool:
    """Whether there is a gap between two boxes."""
    aside = a.right + GAP <= b.left or b.right + GAP <= a.left
    return aside or a.bottom + GAP <= b.top or b.bottom + GAP <= a.top


def relation_of(a: tuple[float, float], b: tuple[float, float], steepness: float = 1.0) -> Relation:
    """Where one centre (x, y) is, seen from another: along the axis on which they are further apart; "" where they are
    less than `steepness` times as far apart on it as on the other.
    """
    dx, dy = a[0] - b[0], a[1] - b[1]
    if abs(dx) >= steepness * abs(dy):
        return "left" if dx < 0 else "right"
    if abs(dy) >= steepness * abs(dx):
        return "above" if dy < 0 else "below"
    return ""


def _anywhere(rng: np.random.Generator, shape: Shape, longest: int) -> Box:
    height, width = (max(4, round(longest * side / max(shape))) for side in shape)
    left, top = (FIRST + GRID * int(rng.integers((SIZE - FIRST - side) // GRID + 1)) for side in (width, height))
    return Box(left, top, left + width, top + height)
