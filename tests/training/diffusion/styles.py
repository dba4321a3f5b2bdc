"""Drawing styles: a disc or a square in one of four colours, filled, as an outline, hatched or dotted."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional as F

from tests.training.diffusion.drawings import COLOURS, SIDE, Drawings, inside

STYLES = ("filled", "outline", "hatched", "dotted")


def inked(style: str, shape: str, x: np.ndarray, y: np.ndarray, r: float) -> np.ndarray:
    """Where a shape of that style has ink: stripes and dots are two pixels wide and two apart."""
    whole = inside(shape, x, y, r)
    across, down = (x + 1) % 4 < 2, (y + 1) % 4 < 2
    return {
        "filled": whole,
        "outline": whole & ~inside(shape, x, y, r - 1.5),
        "hatched": whole & down,
        "dotted": whole & (down ^ across),
    }[style]


def draw_styles(n: int, seed: int) -> Drawings:
    """n drawings whose class is their style; shape, colour, place and size say nothing about it."""
    rng = np.random.default_rng(seed)
    labels, points = rng.integers(0, len(STYLES), n), (np.arange(4 * SIDE) + 0.5) / 4
    masks, colours = np.empty((n, 4 * SIDE, 4 * SIDE), np.float32), np.empty((n, 3), np.float32)
    for i, label in enumerate(labels):
        r, shape = rng.uniform(3.8, 5.0), ("disc", "square")[rng.integers(2)]
        cx, cy = rng.uniform(r + 0.3, SIDE - r - 0.3, 2)
        masks[i] = inked(STYLES[label], shape, points[None, :] - cx, points[:, None] - cy, r)
        colours[i] = np.clip(list(COLOURS.values())[rng.integers(4)] + rng.normal(0, 0.04, 3), 0, 1)
    mask = F.avg_pool2d(torch.from_numpy(masks)[:, None], 4)
    images = 2 * (mask * torch.from_numpy(colours)[:, :, None, None] + (1 - mask)) - 1
    return Drawings(images, 2 * (mask >= 0.5).float() - 1, torch.from_numpy(labels), [STYLES[k] for k in labels])
