"""The things of a picture on a plain background: connected components, specks joined to the thing they belong to."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ldm_core.data.colours import RGB, to_lab
from ldm_core.data.scenes.recolour import read_colour
from ldm_core.evaluation.colours import border_median
from ldm_core.images import Pixels

Mask = NDArray[np.bool_]

APART = 14.0  # ΔE from the background above which a pixel belongs to a thing
NEAR_BACKGROUND = 30.0  # ΔE within which the border is the background that was asked for, a little off
FAINT = 6  # pixels: smaller components are noise
SPECK = 0.2  # a component whose box is a smaller share of the largest one's is part of another thing
TOUCHING = 2  # pixels between boxes that belong together; things of a scene stand 5 apart
MARGIN = 0.08  # of a component's longer side, around it, when it is cut out


@dataclass(frozen=True)
class Component:
    """Pixels that belong together: a mask [H,W] and its box (left, top, right, bottom), the ends exclusive."""

    mask: Mask
    box: tuple[int, int, int, int]

    @property
    def centre(self) -> tuple[float, float]:
        """(x, y) of the box."""
        left, top, right, bottom = self.box
        return (left + right) / 2, (top + bottom) / 2

    @property
    def area(self) -> int:
        """Of the box, in pixels."""
        left, top, right, bottom = self.box
        return (right - left) * (bottom - top)


def background_colour(image: Pixels, named: RGB) -> NDArray[np.float64]:
    """The colour [3] that a picture stands on: its border's median if that is near the one asked for, else that one."""
    seen, asked = border_median(image), np.array(named, np.float64)
    return seen if np.linalg.norm(to_lab(seen) - to_lab(asked)) < NEAR_BACKGROUND else asked


def separate(image: Pixels, background: NDArray[np.float64]) -> list[Component]:
    """Picture uint8 [H,W,3] on a background [3] → its things, largest box first.

    Components whose boxes touch are one thing (a face and its eyes, a bell and its clapper); a speck joins the nearest
    larger component.
    """
    mask = np.linalg.norm(to_lab(image) - to_lab(background), axis=-1) > APART
    components = [c for c in connected_components(mask) if c.mask.sum() >= FAINT]
    components = _join_touching(components)
    if not components:
        return []
    largest = max(c.area for c in components)
    things = [c for c in components if c.area >= SPECK * largest]
    for speck in (c for c in components if c.area < SPECK * largest):
        nearest = min(range(len(things)), key=lambda i: box_gap(speck, things[i]))
        things[nearest] = merge(things[nearest], speck)
    return sorted(_join_touching(things), key=lambda c: -c.area)


def connected_components(mask: Mask) -> list[Component]:
    """Connected components of a mask [H,W], diagonal neighbours included."""
    height, width = mask.shape
    left = set(np.flatnonzero(mask).tolist())
    found = []
    while left:
        reached, edge = [], [left.pop()]
        while edge:
            pixel = edge.pop()
            reached.append(pixel)
            y, x = divmod(pixel, width)
            for v in range(max(0, y - 1), min(height, y + 2)):
                for u in range(max(0, x - 1), min(width, x + 2)):
                    if (near := v * width + u) in left:
                        left.remove(near)
                        edge.append(near)
        part = np.zeros(mask.size, bool)
        part[reached] = True
        found.append(_component(part.reshape(mask.shape)))
    return found


def box_gap(a: Component, b: Component) -> float:
    """Pixels between two boxes, the longer way; below 0 where they overlap."""
    (la, ta, ra, ba), (lb, tb, rb, bb) = a.box, b.box
    return max(max(la, lb) - min(ra, rb), max(ta, tb) - min(ba, bb))


def merge(a: Component, b: Component) -> Component:
    """Both as one."""
    return _component(a.mask | b.mask)


def cut_out(image: Pixels, component: Component, background: NDArray[np.float64], side: int) -> Pixels:
    """A component alone in the middle of a square of its background: uint8 [side,side,3]."""
    left, top, right, bottom = component.box
    longest = max(right - left, bottom - top)
    length = longest + 2 * max(1, round(MARGIN * longest))
    square = np.empty((length, length, 3), np.uint8)
    square[:] = np.round(background)
    y, x = (length - (bottom - top)) // 2, (length - (right - left)) // 2
    square[y : y + bottom - top, x : x + right - left] = image[top:bottom, left:right]
    way = Image.Resampling.BOX if length > side else Image.Resampling.BILINEAR
    return np.asarray(Image.fromarray(square).resize((side, side), way))


def colour_of(image: Pixels, component: Component) -> str:
    """The named colour that most of a component's pixels have, ink and paper aside; "" where none has half of them."""
    return read_colour(np.dstack([image, np.where(component.mask, 255, 0).astype(np.uint8)]))


def _component(mask: Mask) -> Component:
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return Component(mask, (int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1))


def _join_touching(components: list[Component]) -> list[Component]:
    """Until no two boxes are within TOUCHING pixels of each other."""
    joined: list[Component] = []
    for component in components:
        while near := [c for c in joined if box_gap(c, component) <= TOUCHING]:
            joined = [c for c in joined if all(c is not other for other in near)]
            for other in near:
                component = merge(component, other)
        joined.append(component)
    return joined
