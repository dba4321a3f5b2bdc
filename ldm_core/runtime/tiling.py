"""Decode large pictures in overlapping tiles, so that memory stays that of one tile."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import product

import torch
from torch import Tensor

WHOLE_PIXELS = 768  # a picture up to this on both sides is decoded in one piece
TILE_PIXELS = 512
OVERLAP_PIXELS = 128  # the decoder's attention and group norms see one tile only: neighbours blend over this much


def decode_tiled(decode: Callable[[Tensor], Tensor], z: Tensor, f: int, tile: int = TILE_PIXELS) -> Tensor:
    """`decode` of latents [B,C,h,w] → [B,3,f·h,f·w] in tiles of `tile` pixels, blended linearly where they overlap."""
    height, width = z.shape[-2:]
    side, overlap = tile // f, OVERLAP_PIXELS // f
    image = torch.zeros(0)
    for top, left in product(tile_starts(height, side, overlap), tile_starts(width, side, overlap)):
        part = decode(z[:, :, top : top + side, left : left + side])
        if not image.numel():
            image = part.new_zeros(*part.shape[:2], f * height, f * width)
            weights = part.new_zeros(f * height, f * width)
        rows, columns = slice(f * top, f * top + part.shape[-2]), slice(f * left, f * left + part.shape[-1])
        ramp_y = ramp(part.shape[-2], OVERLAP_PIXELS, top > 0, top + side < height)
        ramp_x = ramp(part.shape[-1], OVERLAP_PIXELS, left > 0, left + side < width)
        weight = (ramp_y[:, None] * ramp_x).to(part)
        image[:, :, rows, columns] += part * weight
        weights[rows, columns] += weight
    return image / weights


def tile_starts(length: int, side: int, overlap: int) -> list[int]:
    """Where tiles of `side` cells begin so that they cover `length` and overlap by at least `overlap`."""
    if length <= side:
        return [0]
    n = math.ceil((length - overlap) / (side - overlap))
    return [round(i * (length - side) / (n - 1)) for i in range(n)]


def ramp(length: int, overlap: int, rises: bool, falls: bool) -> Tensor:
    """Weights [length]: 1, but rising from and falling to 0 over `overlap` pixels where there is a neighbour."""
    slope = (torch.arange(overlap) + 0.5) / overlap
    weights = torch.ones(length)
    if rises:
        weights[:overlap] = slope
    if falls:
        weights[-overlap:] *= slope.flip(0)
    return weights
