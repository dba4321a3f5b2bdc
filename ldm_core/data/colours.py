"""Named colours, and colours as people see them: CIELAB and the nearest name."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

RGB = tuple[int, int, int]

BACKGROUNDS: dict[str, RGB] = {
    "white": (255, 255, 255),
    "black": (16, 16, 20),
    "grey": (140, 144, 150),
    "red": (214, 48, 49),
    "orange": (243, 146, 55),
    "yellow": (250, 215, 80),
    "green": (70, 165, 85),
    "teal": (40, 160, 160),
    "blue": (55, 115, 220),
    "purple": (130, 80, 190),
    "pink": (245, 160, 195),
    "brown": (125, 85, 60),
}
_SHADED: Mapping[str, RGB] = {"white": (238, 238, 242), "black": (44, 44, 50)}  # so that folds and eyes stay visible
# The ten colours that a thing can be asked for in.
THING_COLOURS: Mapping[str, RGB] = MappingProxyType(
    {name: _SHADED.get(name, rgb) for name, rgb in BACKGROUNDS.items() if name not in ("grey", "teal")}
)

_TO_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)
_WHITE = np.array([0.95047, 1.0, 1.08883])  # D65


def to_lab(rgb: NDArray[np.generic]) -> NDArray[np.float64]:
    """sRGB 0…255 [...,3] → CIELAB [...,3] (CIE 15:2004, D65); distances are ΔE (1976)."""
    c = np.asarray(rgb, np.float64) / 255
    linear = np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)
    t = linear @ _TO_XYZ.T / _WHITE
    f = np.where(t > (6 / 29) ** 3, np.cbrt(t), t / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.stack([116 * f[..., 1] - 16, 500 * (f[..., 0] - f[..., 1]), 200 * (f[..., 1] - f[..., 2])], -1)


def nearest_colour(rgb: NDArray[np.generic], named: Mapping[str, RGB]) -> str:
    """The name of the colour with the smallest ΔE."""
    distance = np.linalg.norm(to_lab(np.array(list(named.values()))) - to_lab(rgb), axis=-1)
    return list(named)[int(distance.argmin())]
