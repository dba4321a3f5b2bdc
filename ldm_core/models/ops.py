"""What several networks share: attention by shape, the timestep embedding, upsampling, cosines to a table's rows."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

# Up to this many scores a head, a plain matmul-softmax-matmul is no slower than the fused kernel on a CPU (in the
# embedded UNet on one thread some 5 % faster); above it the score matrix no longer fits the cache.
PLAIN_ATTENTION_SCORES = 256 * 256


def attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """softmax(q kᵀ/√d) v for q [B,H,N,d], k and v [B,H,M,d] → [B,H,N,d] (Vaswani et al. 2017, eq. 1)."""
    if torch._C._get_tracing_state() is not None:  # the graph serves every size, and its runtime chooses
        return F.scaled_dot_product_attention(q, k, v)
    if q.device.type == "cpu" and q.shape[-2] * k.shape[-2] <= PLAIN_ATTENTION_SCORES:
        return attention_weights(q, k) @ v
    return F.scaled_dot_product_attention(q, k, v)


def attention_weights(q: Tensor, k: Tensor) -> Tensor:
    """softmax(q kᵀ/√d): [B,H,N,M], rows sum to 1. Scaled before the product so that half precision cannot overflow."""
    return ((q * q.shape[-1] ** -0.5) @ k.transpose(-1, -2)).softmax(-1)


def timestep_embedding(t: Tensor, dim: int, max_period: float = 10000.0) -> Tensor:
    """Timesteps t [B], may be fractional → [B,dim] fp32: cosines, then sines (Ho et al. 2020; order as in CompVis)."""
    half = dim // 2
    freqs = torch.exp(-math.log(max_period) / half * torch.arange(half, dtype=torch.float32, device=t.device))
    angles = t.float()[:, None] * freqs
    embedding = torch.cat([angles.cos(), angles.sin()], dim=-1)
    return F.pad(embedding, (0, dim % 2))


def cosines(x: Tensor, table: Tensor) -> Tensor:
    """[B,V]: cosines of x [B,E] and a table's rows [V,E], both about the table's mean."""
    mean = table.mean(0)
    return F.normalize(x - mean) @ F.normalize(table - mean).T


def nearest_rows(x: Tensor, table: Tensor) -> tuple[Tensor, Tensor]:
    """For each of x [B,E] the table's [V,E] row of the largest cosine, and that cosine: [B] each."""
    best = cosines(x, table).max(1)
    return best.indices, best.values


def repeat_cells(x: Tensor) -> Tensor:
    """[B,C,h,w] → [B,C,2h,2w], every cell four times."""
    return F.interpolate(x, scale_factor=2.0, mode="nearest")


class Upsample(nn.Module):
    """Double height and width by repetition, then smooth."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """[B,C,h,w] → [B,C,2h,2w]."""
        return self.conv(repeat_cells(x))

    def interleaved(self) -> InterleavedUpsample:
        """The same function with 4/9 of its multiply-adds, in fp32."""
        assert self.conv.bias is not None
        return InterleavedUpsample(self.conv.weight.detach().float(), self.conv.bias.detach().float())


class InterleavedUpsample(nn.Module):
    """`Upsample` without repetition: its even and odd rows and columns, each by a 2×2 convolution of the small map.

    After repetition two rows of a 3×3 kernel meet the same cell, so their sum is applied to it once.
    """

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        """The weight [O,C,3,3] and the bias [O] of the convolution after repetition."""
        super().__init__()
        even = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 1.0]])  # an even row sees the cell above and, twice, its own
        odd = torch.tensor([[1.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
        kernels = torch.stack([rows @ weight @ columns.T for rows in (even, odd) for columns in (even, odd)])
        self.kernels = nn.Parameter(kernels, requires_grad=False)
        self.bias = nn.Parameter(bias, requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        """[B,C,h,w] → [B,O,2h,2w]."""
        sides = [(1 - right, right, 1 - below, below) for below in (0, 1) for right in (0, 1)]
        parts = [F.conv2d(F.pad(x, side), kernel, self.bias) for side, kernel in zip(sides, self.kernels, strict=True)]
        return F.pixel_shuffle(torch.stack(parts, 2).flatten(1, 2), 2)
