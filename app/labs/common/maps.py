"""Values over positions as small pictures."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from ldm_core.images import Pixels


def heat(values: NDArray[np.floating], low: float | None = None, high: float | None = None) -> Pixels:
    """[h,w] → uint8 [h,w,3], dark for low and light for high; the ends are the values' own unless given."""
    from matplotlib import colormaps

    low = float(values.min()) if low is None else low
    high = float(values.max()) if high is None else high
    share = np.clip((values - low) / max(high - low, 1e-12), 0.0, 1.0)
    return (colormaps["viridis"](share)[..., :3] * 255).round().astype(np.uint8)


def signed(values: NDArray[np.floating], extent: float | None = None) -> Pixels:
    """[h,w] → uint8 [h,w,3], blue below zero, white at zero, red above; `extent` is the magnitude of full colour."""
    from matplotlib import colormaps

    extent = float(np.abs(values).max()) if extent is None else extent
    share = np.clip(0.5 + 0.5 * values / max(extent, 1e-12), 0.0, 1.0)
    return (colormaps["RdBu_r"](share)[..., :3] * 255).round().astype(np.uint8)


def tiles(channels: NDArray[np.floating]) -> Pixels:
    """[C,h,w] → its channels side by side in reading order, blue below zero and red above, one scale for all."""
    extent = float(np.abs(channels).max())
    columns = math.isqrt(len(channels) - 1) + 1
    pictures = [np.pad(signed(c, extent), ((0, 1), (0, 1), (0, 0)), constant_values=128) for c in channels]
    pictures += [np.full_like(pictures[0], 128)] * (-len(pictures) % columns)
    rows = [np.concatenate(pictures[k : k + columns], axis=1) for k in range(0, len(pictures), columns)]
    return np.concatenate(rows)[:-1, :-1]
