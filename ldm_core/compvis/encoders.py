"""CompVis' encoders of conditions that are no text: a class, and a map brought to the latent's size."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F


class ClassEmbedder(nn.Module):
    """Class ids → a context of one token, for cross-attention (CompVis' class-conditional ImageNet model)."""

    def __init__(self, embed_dim: int, n_classes: int = 1000, key: str = "class") -> None:
        super().__init__()
        self.key = key
        self.embedding = nn.Embedding(n_classes, embed_dim)

    def forward(self, batch: Tensor | Mapping[str, Any], key: str | None = None) -> Tensor:
        """Ids int64 [B], or a batch with them under `key` → [B,1,embed_dim]."""
        ids = batch if isinstance(batch, Tensor) else batch[key or self.key]
        return self.embedding(ids.long()[:, None])


class SpatialRescaler(nn.Module):
    """A picture or label map made smaller n_stages times by `multiplier`, then perhaps other channels (1×1)."""

    def __init__(
        self,
        n_stages: int = 1,
        method: str = "bilinear",
        multiplier: float = 0.5,
        in_channels: int = 3,
        out_channels: int | None = None,
        bias: bool = False,
    ) -> None:
        super().__init__()
        methods = ("nearest", "linear", "bilinear", "trilinear", "bicubic", "area")
        if n_stages < 0 or method not in methods:
            raise ValueError(f"n_stages must be at least 0 and method one of {', '.join(methods)}")
        self.n_stages, self.method, self.multiplier = n_stages, method, multiplier
        if out_channels is not None:
            self.channel_mapper = nn.Conv2d(in_channels, out_channels, 1, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """[B,C,H,W] → [B,C',h,w] with h = H·multiplier^n_stages."""
        for _ in range(self.n_stages):
            x = F.interpolate(x, scale_factor=self.multiplier, mode=self.method)
        return self.channel_mapper(x) if hasattr(self, "channel_mapper") else x

    def encode(self, x: Tensor) -> Tensor:
        """The same, under a first stage's name."""
        return self(x)
