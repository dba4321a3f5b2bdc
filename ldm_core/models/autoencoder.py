"""The first stage: image ↔ latent (Rombach et al. 2022, §3.1). Attribute names are CompVis' key names."""

from __future__ import annotations

from itertools import pairwise

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional as F

from ldm_core.config import AutoencoderConfig
from ldm_core.models.distribution import DiagonalGaussianDistribution
from ldm_core.models.ops import Upsample, attention


def normalize(channels: int, groups: int) -> nn.GroupNorm:
    """The autoencoder's group norm: eps 1e-6, where the UNet's residual blocks have 1e-5."""
    return nn.GroupNorm(groups, channels, eps=1e-6)


class ResnetBlock(nn.Module):
    """Two pre-normed convolutions and a residual."""

    def __init__(self, in_channels: int, out_channels: int, dropout: float, groups: int) -> None:
        super().__init__()
        self.norm1 = normalize(in_channels, groups)
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, padding=1)
        self.norm2 = normalize(out_channels, groups)
        self.dropout = nn.Dropout(dropout)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1)
        if in_channels != out_channels:
            self.nin_shortcut = nn.Conv2d(in_channels, out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """[B,in,h,w] → [B,out,h,w]."""
        h = self.conv1(F.silu(self.norm1(x)))
        h = self.conv2(self.dropout(F.silu(self.norm2(h))))
        return h + (self.nin_shortcut(x) if hasattr(self, "nin_shortcut") else x)


class AttnBlock(nn.Module):
    """Single-head self-attention over positions."""

    def __init__(self, channels: int, groups: int) -> None:
        super().__init__()
        self.norm = normalize(channels, groups)
        self.q, self.k, self.v, self.proj_out = (nn.Conv2d(channels, channels, 1) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        """[B,C,h,w] → [B,C,h,w]."""
        h = self.norm(x)
        q, k, v = (rearrange(f(h), "b c h w -> b 1 (h w) c") for f in (self.q, self.k, self.v))
        h = rearrange(attention(q, k, v), "b 1 (h w) c -> b c h w", h=x.shape[2])
        return x + self.proj_out(h)


class Downsample(nn.Module):
    """Halve the size; padded only right and below, unlike the UNet's."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        """[B,C,h,w] → [B,C,h/2,w/2]."""
        return self.conv(F.pad(x, (0, 1, 0, 1)))


class Level(nn.Module):
    """The blocks of one resolution, and the step to the next one where there is a next."""

    def __init__(self, in_channels: int, out_channels: int, blocks: int, attend: bool, c: AutoencoderConfig) -> None:
        super().__init__()
        widths = [in_channels] + [out_channels] * blocks
        self.block = nn.ModuleList(ResnetBlock(i, o, c.dropout, c.norm_groups) for i, o in pairwise(widths))
        attend = attend and c.attn_type != "none"
        self.attn = nn.ModuleList(AttnBlock(out_channels, c.norm_groups) for _ in range(blocks if attend else 0))
        self.downsample: Downsample | None = None
        self.upsample: Upsample | None = None

    def forward(self, x: Tensor) -> Tensor:
        """[B,in,h,w] → [B,out,h',w']."""
        for i, block in enumerate(self.block):
            x = block(x)
            if len(self.attn):
                x = self.attn[i](x)
        if self.downsample is not None:
            x = self.downsample(x)
        return x if self.upsample is None else self.upsample(x)


class Middle(nn.Module):
    """Block, attention, block at the lowest resolution."""

    def __init__(self, channels: int, c: AutoencoderConfig) -> None:
        super().__init__()
        self.block_1 = ResnetBlock(channels, channels, c.dropout, c.norm_groups)
        self.attn_1 = nn.Identity() if c.attn_type == "none" else AttnBlock(channels, c.norm_groups)
        self.block_2 = ResnetBlock(channels, channels, c.dropout, c.norm_groups)

    def forward(self, x: Tensor) -> Tensor:
        """[B,C,h,w] → [B,C,h,w]."""
        return self.block_2(self.attn_1(self.block_1(x)))


class Encoder(nn.Module):
    """Image → features of the latent's resolution."""

    def __init__(self, c: AutoencoderConfig) -> None:
        super().__init__()
        self.conv_in = nn.Conv2d(c.in_channels, c.ch, 3, padding=1)
        self.down = nn.ModuleList()
        width, last = c.ch, len(c.ch_mult) - 1
        for i, mult in enumerate(c.ch_mult):
            attend = c.resolution // 2**i in c.attn_resolutions
            level = Level(width, c.ch * mult, c.num_res_blocks, attend, c)
            width = c.ch * mult
            if i != last:
                level.downsample = Downsample(width)
            self.down.append(level)
        self.mid = Middle(width, c)
        self.norm_out = normalize(width, c.norm_groups)
        self.conv_out = nn.Conv2d(width, 2 * c.z_channels if c.double_z else c.z_channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """[B,in_channels,H,W] in [-1,1] → [B,(2·)z_channels,H/f,W/f]."""
        h = self.conv_in(x)
        for level in self.down:
            h = level(h)
        return self.conv_out(F.silu(self.norm_out(self.mid(h))))


class Decoder(nn.Module):
    """Latent features → image."""

    def __init__(self, c: AutoencoderConfig) -> None:
        super().__init__()
        width = c.ch * c.ch_mult[-1]
        self.conv_in = nn.Conv2d(c.z_channels, width, 3, padding=1)
        self.mid = Middle(width, c)
        levels = []
        for i, mult in reversed(list(enumerate(c.ch_mult))):
            attend = c.resolution // 2**i in c.attn_resolutions
            level = Level(width, c.ch * mult, c.num_res_blocks + 1, attend, c)
            width = c.ch * mult
            if i != 0:
                level.upsample = Upsample(width)
            levels.append(level)
        self.up = nn.ModuleList(reversed(levels))  # numbered by resolution, run from the last to the first
        self.norm_out = normalize(width, c.norm_groups)
        self.conv_out = nn.Conv2d(width, c.out_ch, 3, padding=1)

    def forward(self, z: Tensor) -> Tensor:
        """[B,z_channels,h,w] → [B,out_ch,f·h,f·w]."""
        h = self.mid(self.conv_in(z))
        for level in reversed(self.up):
            h = level(h)
        return self.conv_out(F.silu(self.norm_out(h)))


class AutoencoderKL(nn.Module):
    """KL-regularised autoencoder. Latents here are unscaled; LatentDiffusion owns the scale factor."""

    def __init__(self, config: AutoencoderConfig) -> None:
        super().__init__()
        if config.kind != "kl":
            raise ValueError(f"AutoencoderKL needs a config of kind 'kl', not {config.kind!r}")
        self.config = config
        self.encoder = Encoder(config)
        self.decoder = Decoder(config)
        self.quant_conv = nn.Conv2d(2 * config.z_channels, 2 * config.embed_dim, 1)
        self.post_quant_conv = nn.Conv2d(config.embed_dim, config.z_channels, 1)

    def encode(self, image: Tensor) -> DiagonalGaussianDistribution:
        """Image [B,3,H,W] in [-1,1] → posterior over latents [B,embed_dim,H/f,W/f]."""
        return DiagonalGaussianDistribution(self.quant_conv(self.encoder(image)))

    def decode(self, z: Tensor) -> Tensor:
        """Latent [B,embed_dim,h,w] → image [B,3,f·h,f·w], about [-1,1], not clamped."""
        return self.decoder(self.post_quant_conv(z))

    def forward(
        self, image: Tensor, sample_posterior: bool = True, generator: torch.Generator | None = None
    ) -> tuple[Tensor, DiagonalGaussianDistribution]:
        """Reconstruction [B,3,H,W] and posterior; the latent is a sample, or the mode."""
        posterior = self.encode(image)
        z = posterior.sample(generator) if sample_posterior else posterior.mode()
        return self.decode(z), posterior

    def get_last_layer(self) -> Tensor:
        """The weight at which the adaptive GAN weight compares gradients."""
        return self.decoder.conv_out.weight
