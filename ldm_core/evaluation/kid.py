"""Kernel inception distance, in the judge's features instead of Inception's."""

from __future__ import annotations

import torch
from torch import Tensor

from ldm_core.evaluation.judge import unit


def kid(x: Tensor, y: Tensor) -> float:
    """Unbiased squared MMD of samples [N,D], [M,D] with the kernel (x·y/D + 1)³ (Bińkowski et al. 2018, §3 and eq. 4).

    0 in the mean for samples of one distribution, so it may be negative. ValueError below two rows of each.
    """
    n, m, d = len(x), len(y), x.shape[1]
    if n < 2 or m < 2:
        raise ValueError(f"KID needs at least 2 samples of each, not {n} and {m}")
    x, y = x.double(), y.double()

    def kernel(a: Tensor, b: Tensor) -> Tensor:
        return (a @ b.T / d + 1) ** 3

    def within(a: Tensor) -> Tensor:
        k = kernel(a, a)
        return (k.sum() - k.diagonal().sum()) / (len(a) * (len(a) - 1))

    return float(within(x) + within(y) - 2 * kernel(x, y).mean())


def feature_kid(x: Tensor, y: Tensor) -> float:
    """KID of the judge's features, each brought to length √D: the kernel is (cosine + 1)³ and knows no scale."""
    scale = float(x.shape[1]) ** 0.5
    return kid(unit(x) * scale, unit(y) * scale)


def spread(features: Tensor) -> float:
    """Mean of 1 − cosine over all pairs of rows [N,D]; nan for one row."""
    rows = unit(features.double())
    n = len(rows)
    if n < 2:
        return float("nan")
    similar = (rows.sum(0).square().sum() - rows.square().sum()) / (n * (n - 1))
    return float(1 - similar)


def nearest_distance(x: Tensor, known: Tensor, block: int = 2048) -> Tensor:
    """For each row of x [N,D] the Euclidean distance [N] to the nearest row of `known` [M,D]."""
    best = torch.full((len(x),), torch.inf)
    for start in range(0, len(known), block):
        best = torch.minimum(best, torch.cdist(x, known[start : start + block]).amin(1))
    return best
