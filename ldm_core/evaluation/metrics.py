"""How close two pictures are (PSNR, SSIM), and whether the right candidate is among the best (retrieval)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def psnr(a: Tensor, b: Tensor) -> Tensor:
    """Peak signal-to-noise ratio in dB of images [B,3,H,W] in [-1,1], per image: [B]. Clamped to the range first."""
    error = (a.clamp(-1, 1) - b.clamp(-1, 1)).square().mean(dim=(1, 2, 3))
    return 10 * torch.log10(4.0 / error.clamp_min(1e-12))


def ssim(a: Tensor, b: Tensor, window: int = 11, sigma: float = 1.5) -> Tensor:
    """Structural similarity (Wang et al. 2004) of images [B,3,H,W] in [-1,1], mean over channels and positions: [B]."""
    a, b = ((x.clamp(-1, 1) + 1) / 2 for x in (a, b))
    offsets = torch.arange(window, dtype=a.dtype, device=a.device) - (window - 1) / 2
    g = torch.exp(-(offsets**2) / (2 * sigma**2))
    g = g / g.sum()
    channels = a.shape[1]

    def blur(x: Tensor) -> Tensor:
        x = F.conv2d(x, g.view(1, 1, 1, -1).expand(channels, 1, 1, -1), groups=channels)
        return F.conv2d(x, g.view(1, 1, -1, 1).expand(channels, 1, -1, 1), groups=channels)

    mean_a, mean_b = blur(a), blur(b)
    var_a, var_b = blur(a * a) - mean_a**2, blur(b * b) - mean_b**2
    cov = blur(a * b) - mean_a * mean_b
    c1, c2 = 0.01**2, 0.03**2
    score = (2 * mean_a * mean_b + c1) * (2 * cov + c2) / ((mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2))
    return score.mean(dim=(1, 2, 3))


def top_hits(scores: Tensor, right: Tensor, k: int) -> Tensor:
    """scores [B,K]; right: index [B], or bool [B,K] where several are right → bool [B]: one of the k best is right.

    With equal scores the right candidate counts as the last of its equals, so that a constant judge finds nothing.
    """
    if right.dtype != torch.bool:
        right = F.one_hot(right, scores.shape[1]).bool()
    best = scores.masked_fill(~right, -torch.inf).amax(1, keepdim=True)
    ahead = ((scores >= best) & ~right).sum(1)
    return (ahead < k) & right.any(1)


def top_share(scores: Tensor, right: Tensor, k: int) -> float:
    """Share of rows that `top_hits`."""
    return float(top_hits(scores, right, k).float().mean())
