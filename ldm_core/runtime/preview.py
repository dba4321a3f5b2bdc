"""A picture's look while it forms, at a thousandth of the decoder's price: a linear map from latents to RGB."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

EXAMPLES, SIDE = 16, 8  # latents the map is fitted on, and their cells a side
WINDOW = 3  # cells a side that an RGB value is a linear function of: one alone loses 3 dB at the embedded model's size
RIDGE = 1e-4
MOST_PIXELS = 256  # of a preview's longer side


class LinearPreview:
    """RGB of a latent cell as a linear function of the 3×3 cells around it, fitted on a decoder by least squares."""

    def __init__(self, decode: Callable[[Tensor], Tensor], channels: int, f: int) -> None:
        """decode: latents [B,channels,h,w], std ≈ 1 → image [B,3,f·h,f·w]. Asks it for EXAMPLES small pictures."""
        self.f = f
        z = example_latents(channels)
        target = F.avg_pool2d(decode(z).float().cpu().clamp(-1.0, 1.0), f)
        x = _windows(z).transpose(1, 2).flatten(0, 1).double()
        y = target.flatten(2).transpose(1, 2).flatten(0, 1).double()
        gram = x.T @ x + RIDGE * len(x) * torch.eye(x.shape[1], dtype=torch.float64)
        self.weight = torch.linalg.solve(gram, x.T @ y).float()  # [9·channels + 1, 3]

    def __call__(self, z: Tensor) -> Tensor:
        """Latents fp32 [B,C,h,w] → image [B,3,s·h,s·w] in about [-1,1], interpolated to at most MOST_PIXELS a side."""
        cells = (self.weight.T @ _windows(z)).unflatten(2, z.shape[-2:])
        scale = max(1, min(self.f, MOST_PIXELS // max(z.shape[-2:])))
        return F.interpolate(cells, scale_factor=scale, mode="bicubic") if scale > 1 else cells


def example_latents(channels: int) -> Tensor:
    """Smooth and blocky random fields [EXAMPLES,channels,SIDE,SIDE] of 1 to SIDE cells across, std ≈ 1.

    White noise alone would not do: pictures have areas, and what the decoder makes of an area is what shows most.
    """
    generator = torch.Generator().manual_seed(0)
    fields = []
    for k in range(EXAMPLES):
        noise = torch.randn(1, channels, SIDE >> k % 4, SIDE >> k % 4, generator=generator)
        fields.append(F.interpolate(noise, size=(SIDE, SIDE), mode="bilinear" if k % 8 > 3 else "nearest"))
    return torch.cat(fields)


def _windows(z: Tensor) -> Tensor:
    """[B,C,h,w] → [B,9·C + 1,h·w]: the cells around each cell, and 1."""
    x = F.unfold(z, WINDOW, padding=WINDOW // 2)
    return torch.cat([x, torch.ones_like(x[:, :1])], dim=1)
