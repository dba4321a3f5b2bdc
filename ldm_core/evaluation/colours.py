"""The colour that a picture stands on."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from ldm_core.data.colours import nearest_colour
from ldm_core.images import Pixels

BORDER = 32  # border width = side / BORDER


def border(image: Pixels) -> Pixels:
    """The pixels [n,c] of a picture's outermost frame."""
    width = max(1, image.shape[0] // BORDER)
    inside = np.zeros(image.shape[:2], bool)
    inside[width:-width, width:-width] = True
    return image[~inside]


def border_median(image: Pixels) -> NDArray[np.float64]:
    """uint8 [H,W,3] → the median colour [3] of its border: what the drawing stands on, if it leaves half of it free."""
    return np.median(border(image), axis=0)


def background_of(image: Pixels, named: Mapping[str, tuple[int, int, int]]) -> str:
    """Which named colour a picture uint8 [H,W,3] stands on."""
    return nearest_colour(border_median(image), named)
