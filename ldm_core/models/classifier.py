"""A small classifier of noisy latents, for classifier guidance (Dhariwal & Nichol 2021, §4)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ldm_core.config import UNetConfig
from ldm_core.models.ops import timestep_embedding
from ldm_core.models.unet import Downsample, ResBlock


class NoisyClassifier(nn.Module):
    """Class logits from x_t and t: blocks and downsamplings of the UNet, then mean and maximum over positions."""

    def __init__(
        self,
        in_channels: int,
        classes: int,
        width: int = 32,
        levels: int = 2,
        norm_groups: int = 8,
        dropout: float = 0.0,
    ) -> None:
        """`levels` halvings of height and width; channels grow from width to (levels + 1)·width."""
        super().__init__()
        if classes < 2 or levels < 0:
            raise ValueError(f"a classifier needs classes >= 2 and levels >= 0, not {classes} and {levels}")
        if width % norm_groups:
            raise ValueError(f"width {width} is not a multiple of norm_groups={norm_groups}")
        self.width, emb = width, 4 * width
        block = UNetConfig(
            model_channels=width, channel_mult=(1,), num_heads=1, dropout=dropout, norm_groups=norm_groups
        )
        self.time_embed = nn.Sequential(nn.Linear(width, emb), nn.SiLU(), nn.Linear(emb, emb))
        self.conv_in = nn.Conv2d(in_channels, width, 3, padding=1)
        self.blocks = nn.ModuleList()
        for level in range(levels):
            self.blocks.append(Downsample(width * (level + 1)))
            self.blocks.append(ResBlock(width * (level + 1), width * (level + 2), block))
        top = width * (levels + 1)
        self.out = nn.Sequential(nn.GroupNorm(norm_groups, top), nn.SiLU(), nn.Conv2d(top, top, 1), nn.SiLU())
        self.head = nn.Linear(2 * top, classes)

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        """x_t [B,C,h,w], t [B] → logits [B,classes]."""
        emb = self.time_embed(timestep_embedding(t, self.width).to(x.dtype))
        h = self.conv_in(x)
        for block in self.blocks:
            h = block(h, emb) if isinstance(block, ResBlock) else block(h)
        h = self.out(h)
        return self.head(torch.cat([h.mean(dim=(2, 3)), h.amax(dim=(2, 3))], dim=1))
