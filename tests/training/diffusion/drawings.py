"""Procedural drawings: one coloured shape on white, with everything a condition could say about it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor
from torch.nn import functional as F

SIDE = 12
SHAPES = ("disc", "square", "cross", "bar")
COLOURS = {"red": (0.9, 0.1, 0.1), "green": (0.1, 0.7, 0.2), "blue": (0.1, 0.2, 0.9), "yellow": (0.95, 0.85, 0.1)}
CLASSES = len(SHAPES) * len(COLOURS)


@dataclass(frozen=True)
class Drawings:
    """images [N,3,12,12] in [-1,1], silhouettes [N,1,12,12] in {-1,1}, classes int64 [N], captions."""

    images: Tensor
    silhouettes: Tensor
    classes: Tensor
    captions: list[str]


def caption(label: int) -> str:
    return f"{list(COLOURS)[label % len(COLOURS)]} {SHAPES[label // len(COLOURS)]}"


def inside(shape: str, x: np.ndarray, y: np.ndarray, r: float) -> np.ndarray:
    """Where points, relative to the shape's centre, are inside it."""
    return {
        "disc": x**2 + y**2 <= r**2,
        "square": np.maximum(abs(x), abs(y)) <= 0.95 * r,
        "cross": (np.maximum(abs(x), abs(y)) <= r) & (np.minimum(abs(x), abs(y)) <= 0.35 * r),
        "bar": (abs(x) <= 1.1 * r) & (abs(y) <= 0.35 * r),
    }[shape]


def draw(n: int, seed: int, labels: Tensor | None = None) -> Drawings:
    """n drawings, drawn at four times the size and averaged down; position, size and shade vary."""
    rng = np.random.default_rng(seed)
    labels = torch.from_numpy(rng.integers(0, CLASSES, n)) if labels is None else labels
    points = (np.arange(4 * SIDE) + 0.5) / 4
    masks, colours = np.empty((n, 4 * SIDE, 4 * SIDE), np.float32), np.empty((n, 3), np.float32)
    for i, label in enumerate(labels.tolist()):
        r = rng.uniform(2.3, 3.4)
        cx, cy = rng.uniform(r + 0.5, SIDE - r - 0.5, 2)
        masks[i] = inside(SHAPES[label // len(COLOURS)], points[None, :] - cx, points[:, None] - cy, r)
        colours[i] = np.clip(list(COLOURS.values())[label % len(COLOURS)] + rng.normal(0, 0.04, 3), 0, 1)
    mask = F.avg_pool2d(torch.from_numpy(masks)[:, None], 4)
    images = 2 * (mask * torch.from_numpy(colours)[:, :, None, None] + (1 - mask)) - 1
    return Drawings(images, 2 * (mask >= 0.5).float() - 1, labels, [caption(int(i)) for i in labels])


class Judge:
    """Which class's nearest drawing is nearest: knows 4096 drawings, and no model knows it."""

    def __init__(self, known: Drawings | None = None) -> None:
        self.known = draw(4096, seed=500) if known is None else known

    def scores(self, images: Tensor) -> Tensor:
        """[N,3,12,12] → minus the distance to the nearest drawing of each class: [N,classes]."""
        distances = torch.cdist(images.flatten(1), self.known.images.flatten(1))
        classes = range(int(self.known.classes.max()) + 1)
        return -torch.stack([distances[:, self.known.classes == k].amin(1) for k in classes], dim=1)

    def classes(self, images: Tensor) -> Tensor:
        """int64 [N]."""
        return self.scores(images).argmax(1)


def silhouette(images: Tensor) -> Tensor:
    """[N,3,h,w] → bool [N,h,w]: where a picture is half-way from white to a colour, or further."""
    return ((1 - images) / 2).amax(dim=1) > 0.43


def one_blob(images: Tensor) -> Tensor:
    """Share of each picture's coloured pixels that hang together in its largest blob; 0 where all is white: [N]."""
    shares = []
    for mask in silhouette(images).numpy():
        parts, _ = ndimage.label(mask)
        sizes = np.bincount(parts.ravel())[1:]
        shares.append(sizes.max() / sizes.sum() if len(sizes) else 0.0)
    return torch.tensor(shares)


def iou(a: Tensor, b: Tensor) -> Tensor:
    """Intersection over union of bool masks [N,h,w]: [N]."""
    return (a & b).sum((1, 2)) / (a | b).sum((1, 2)).clamp_min(1)


def low_resolution(images: Tensor) -> Tensor:
    """[N,3,12,12] → box-averaged [N,3,3,3]."""
    return F.avg_pool2d(images, SIDE // 4)


def bicubic(small: Tensor) -> Tensor:
    """[N,3,3,3] → [N,3,12,12]."""
    return F.interpolate(small, size=SIDE, mode="bicubic", align_corners=False)
