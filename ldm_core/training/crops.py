"""Drawings with transparency → opaque training pictures: backgrounds, crops, flips, all from one generator."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Bytes = NDArray[np.uint8]
EMPTY = 0.05  # a crop with less ink than this share of its pixels is mostly background
KEEP_EMPTY = 0.25  # chance that such a crop is used all the same


def composite(rgba: Bytes, background: Bytes) -> Bytes:
    """Drawings uint8 [B,H,W,4] (straight alpha) over colours uint8 [B,3] → uint8 [B,H,W,3]."""
    alpha = rgba[..., 3:].astype(np.uint16)
    paint = background[:, None, None, :].astype(np.uint16)
    mixed = rgba[..., :3] * alpha + paint * (255 - alpha)
    return ((mixed + 127) // 255).astype(np.uint8)


def to_tensor(images: Bytes) -> Tensor:
    """uint8 [B,H,W,3] → float32 [B,3,H,W] in [-1,1], contiguous."""
    return torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2))).float() / 127.5 - 1


def to_uint8(images: Tensor) -> Bytes:
    """float [B,3,H,W] in about [-1,1] → uint8 [B,H,W,3]."""
    scaled = ((images.detach().float().cpu() + 1) * 127.5).round().clamp(0, 255)
    return scaled.to(torch.uint8).permute(0, 2, 3, 1).contiguous().numpy()


def random_backgrounds(rng: np.random.Generator, n: int, palette: Bytes) -> Bytes:
    """n colours uint8 [n,3]: half white, a quarter from the palette [K,3], a quarter anything."""
    kind = rng.random(n)
    named = palette[rng.integers(len(palette), size=n)]
    anything = rng.integers(256, size=(n, 3), dtype=np.uint8)
    colours = np.where(kind[:, None] < 0.75, named, anything)
    return np.where(kind[:, None] < 0.5, np.uint8(255), colours).astype(np.uint8)


def random_crops(drawings: Bytes, rows: NDArray[np.integer], size: int, rng: np.random.Generator) -> Bytes:
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


def picture_grid(images: Bytes, columns: int) -> Bytes:
    """Pictures uint8 [N,H,W,3], row by row → one picture; the last row is filled with white."""
    n, h, w, c = images.shape
    rows = -(-n // columns)
    grid = np.full((rows * columns, h, w, c), 255, np.uint8)
    grid[:n] = images
    return np.ascontiguousarray(grid.reshape(rows, columns, h, w, c).swapaxes(1, 2).reshape(rows * h, columns * w, c))
