"""Colours as people see them: CIELAB, the colour of a picture's border, the nearest named colour."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from ldm_core.training.crops import Bytes

_TO_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)
_WHITE = np.array([0.95047, 1.0, 1.08883])  # D65
BORDER = 32  # a picture's border is one part in so many of its side


def to_lab(rgb: NDArray[np.generic]) -> NDArray[np.float64]:
    """sRGB 0…255 [...,3] → CIELAB [...,3] (CIE 15:2004, D65); distances are ΔE (1976)."""
    c = np.asarray(rgb, np.float64) / 255
    linear = np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)
    t = linear @ _TO_XYZ.T / _WHITE
    f = np.where(t > (6 / 29) ** 3, np.cbrt(t), t / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.stack([116 * f[..., 1] - 16, 500 * (f[..., 0] - f[..., 1]), 200 * (f[..., 1] - f[..., 2])], -1)


def border(image: Bytes) -> Bytes:
    """The pixels [n,c] of a picture's outermost frame."""
    width = max(1, image.shape[0] // BORDER)
    inside = np.zeros(image.shape[:2], bool)
    inside[width:-width, width:-width] = True
    return image[~inside]


def border_median(image: Bytes) -> NDArray[np.float64]:
    """uint8 [H,W,3] → the median colour [3] of its border: what the drawing stands on, if it leaves half of it free."""
    return np.median(border(image), axis=0)


def nearest_colour(rgb: NDArray[np.generic], named: Mapping[str, tuple[int, int, int]]) -> str:
    """The name of the colour with the smallest ΔE."""
    distance = np.linalg.norm(to_lab(np.array(list(named.values()))) - to_lab(rgb), axis=-1)
    return list(named)[int(distance.argmin())]


def ground_of(image: Bytes, named: Mapping[str, tuple[int, int, int]]) -> str:
    """Which named colour a picture uint8 [H,W,3] stands on."""
    return nearest_colour(border_median(image), named)
