"""Drawings with transparency → what training sees of them: backgrounds and crops, all from one generator."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ldm_core.images import Pixels

EMPTY = 0.05  # a crop with less ink than this share of its pixels is mostly background
KEEP_EMPTY = 0.25  # chance that such a crop is used all the same


def random_backgrounds(rng: np.random.Generator, n: int, palette: Pixels) -> Pixels:
    """n colours uint8 [n,3]: half white, a quarter from the palette [K,3], a quarter anything."""
    kind = rng.random(n)
    named = palette[rng.integers(len(palette), size=n)]
    anything = rng.integers(256, size=(n, 3), dtype=np.uint8)
    colours = np.where(kind[:, None] < 0.75, named, anything)
    return np.where(kind[:, None] < 0.5, np.uint8(255), colours).astype(np.uint8)


def random_crops(drawings: Pixels, rows: NDArray[np.integer], size: int, rng: np.random.Generator) -> Pixels:
    """One crop uint8 [B,size,size,4] of each row, mirrored half the time; nearly empty places are mostly avoided."""
    side = drawings.shape[1]
    crops = np.empty((len(rows), size, size, 4), np.uint8)
    for i, row in enumerate(rows):
        drawing = drawings[row]
        for _ in range(4):
            y, x = rng.integers(side - size + 1, size=2)
            crop = drawing[y : y + size, x : x + size]
            if (crop[..., 3] > 0).mean() >= EMPTY or rng.random() < KEEP_EMPTY:
                break
        crops[i] = crop[:, ::-1] if rng.random() < 0.5 else crop
    return crops
