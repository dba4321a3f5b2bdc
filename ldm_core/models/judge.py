"""The judge of pictures: a small image–text model that shares nothing with the model it judges."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def name_words(name: str) -> list[str]:
    """The words of a name: 'keycap 2' → ['keycap', '2'], 'jack-o-lantern' → ['jack', 'o', 'lantern']."""
    return re.findall(r"[^\W_]+", name.lower())


@dataclass(frozen=True)
class JudgeConfig:
    """Geometry and vocabulary; `words` name things, `styles` are whole style names."""

    words: tuple[str, ...]
    styles: tuple[str, ...]
    widths: tuple[int, ...] = (16, 48, 96, 160)  # of the stem and of each halving after it
    embed: int = 128
    side: int = 64  # pixels

    @property
    def features(self) -> int:
        """Numbers that describe a picture."""
        return 2 * sum(self.widths)

    def __post_init__(self) -> None:
        if len(self.widths) < 2 or self.side % 2 ** len(self.widths):
            raise ValueError(f"side {self.side} must be halved {len(self.widths)} times, at least twice")
        if not self.words or not self.styles:
            raise ValueError("a judge needs words and styles")


class Residual(nn.Module):
    """[B,a,h,w] → [B,b,h/2,w/2]: two 3×3 convolutions around a pooled shortcut (He et al. 2015)."""

    def __init__(self, a: int, b: int) -> None:
        super().__init__()
        self.conv1, self.norm1 = nn.Conv2d(a, b, 3, 2, 1, bias=False), nn.BatchNorm2d(b)
        self.conv2, self.norm2 = nn.Conv2d(b, b, 3, 1, 1, bias=False), nn.BatchNorm2d(b)
        self.shortcut = nn.Conv2d(a, b, 1)

    def forward(self, x: Tensor) -> Tensor:
        """[B,C,H,W] → [B,C',H/2,W/2]."""
        h = self.norm2(self.conv2(F.relu(self.norm1(self.conv1(x)))))
        return F.relu(h + self.shortcut(F.avg_pool2d(x, 2)))


class Judge(nn.Module):
    """A convolutional image tower beside a bag of words; a second head reads the style."""

    def __init__(self, config: JudgeConfig) -> None:
        super().__init__()
        self.config = config
        w = config.widths
        self.stem = nn.Sequential(nn.Conv2d(3, w[0], 4, 2, 1, bias=False), nn.BatchNorm2d(w[0]), nn.ReLU())
        self.blocks = nn.Sequential(*(Residual(a, b) for a, b in pairwise(w)))
        self.project = nn.Linear(config.features, config.embed)
        self.style = nn.Linear(config.features, len(config.styles))
        self.words = nn.EmbeddingBag(len(config.words), config.embed, mode="mean")
        nn.init.normal_(self.words.weight, std=0.05)  # only directions count: small vectors turn faster
        self.scale = nn.Parameter(torch.tensor(20.0).log())
        self._number = {word: i for i, word in enumerate(config.words)}

    def pooled(self, images: Tensor) -> Tensor:
        """Images [B,3,H,W] in [-1,1], any size → features [B,F], ≥ 0: what the picture looks like.

        Every stage gives its channels' means and deviations: a style shows in edges and shades, a thing in shapes.
        """
        side = self.config.side
        if images.shape[-2:] != (side, side):
            images = F.interpolate(images, size=(side, side), mode="area")
        x, found = images, list[Tensor]()
        for stage in (self.stem, *self.blocks):
            x = stage(x)
            found += [x.mean((2, 3)), (x.var((2, 3), unbiased=False) + 1e-5).sqrt()]
        return torch.cat(found, 1)

    def ids(self, names: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Names → (word numbers [n], where each name begins [K]); words it does not know are passed over."""
        rows = [[self._number[w] for w in name_words(name) if w in self._number] for name in names]
        offsets = torch.tensor([0, *map(len, rows)]).cumsum(0)[:-1]
        return torch.tensor([i for row in rows for i in row], dtype=torch.int64), offsets

    def name_scores(self, features: Tensor, ids: tuple[Tensor, Tensor]) -> Tensor:
        """Features [B,F] and K names as `ids` → logits [B,K]: scaled cosines (Radford et al. 2021)."""
        names = self.words(*(x.to(features.device) for x in ids))
        return self.scale.exp() * F.normalize(self.project(features)) @ F.normalize(names).T

    def style_scores(self, features: Tensor) -> Tensor:
        """Features [B,F] → logits [B,S] over `config.styles`."""
        scores: Tensor = self.style(features)
        return scores
