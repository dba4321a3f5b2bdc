"""The noise-prediction UNet of latent diffusion. Attribute names are the published checkpoint's key names."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ldm_core.config import UNetConfig
from ldm_core.models.attention import AttentionBlock, SpatialTransformer
from ldm_core.models.ops import Upsample, repeat_cells, timestep_embedding


class ResBlock(nn.Module):
    """Two convolutions with the timestep embedding between them: added, or as scale and shift of the second norm.

    `resample` changes the resolution of both paths before the first convolution (CompVis' resblock_updown).
    """

    def __init__(
        self, channels: int, out_channels: int, c: UNetConfig, resample: Callable[[Tensor], Tensor] | None = None
    ) -> None:
        super().__init__()
        self.resample, self.scale_shift = resample, c.use_scale_shift_norm
        self.in_layers = nn.Sequential(
            nn.GroupNorm(c.norm_groups, channels), nn.SiLU(), nn.Conv2d(channels, out_channels, 3, padding=1)
        )
        width = 2 * out_channels if c.use_scale_shift_norm else out_channels
        self.emb_layers = nn.Sequential(nn.SiLU(), nn.Linear(4 * c.model_channels, width))
        self.out_layers = nn.Sequential(
            nn.GroupNorm(c.norm_groups, out_channels),
            nn.SiLU(),
            nn.Dropout(c.dropout),
            nn.Conv2d(out_channels, out_channels, 3, padding=1),
        )
        same = channels == out_channels
        self.skip_connection = nn.Identity() if same else nn.Conv2d(channels, out_channels, 1)

    def forward(self, x: Tensor, emb: Tensor) -> Tensor:
        """x [B,C,h,w], emb [B,4·model_channels] → [B,out_channels,h',w']."""
        if self.resample is None:
            h = self.in_layers(x)
        else:
            h, x = self.in_layers[2](self.resample(self.in_layers[:2](x))), self.resample(x)
        emb_out = self.emb_layers(emb)[:, :, None, None]
        if not self.scale_shift:
            return self.skip_connection(x) + self.out_layers(h + emb_out)
        scale, shift = emb_out.chunk(2, dim=1)
        return self.skip_connection(x) + self.out_layers[1:](self.out_layers[0](h) * (1.0 + scale) + shift)


class Downsample(nn.Module):
    """Halve height and width by a strided convolution, padded on all sides."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.op = nn.Conv2d(channels, channels, 3, stride=2, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """[B,C,h,w] → [B,C,h/2,w/2]."""
        return self.op(x)


def halve(x: Tensor) -> Tensor:
    """[B,C,h,w] → [B,C,h/2,w/2], means of four cells."""
    return F.avg_pool2d(x, 2)


class Resample(nn.Module):
    """A change of resolution without weights."""

    def __init__(self, resample: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.resample = resample

    def forward(self, x: Tensor) -> Tensor:
        """[B,C,h,w] → [B,C,h',w']."""
        return self.resample(x)


class Stage(nn.Sequential):
    """A row of layers, each handed what it needs: residual blocks the time, transformers the context."""

    def forward(self, x: Tensor, emb: Tensor, context: Tensor | None) -> Tensor:  # type: ignore[override]
        """x [B,C,h,w] → [B,C',h',w']."""
        for layer in self:
            if isinstance(layer, ResBlock):
                x = layer(x, emb)
            elif isinstance(layer, SpatialTransformer):
                x = layer(x, context)
            else:
                x = layer(x)
        return x


class UNetModel(nn.Module):
    """eps (or x0, or v) from x_t, t and a condition (Rombach et al. 2022, §3.2; Dhariwal & Nichol 2021)."""

    def __init__(self, config: UNetConfig) -> None:
        super().__init__()
        self.config = c = config
        ch, emb, levels = c.model_channels, 4 * c.model_channels, list(enumerate(c.channel_mult))

        self.time_embed = nn.Sequential(nn.Linear(ch, emb), nn.SiLU(), nn.Linear(emb, emb))
        if c.num_classes is not None:
            self.label_emb = nn.Embedding(c.num_classes, emb)

        self.input_blocks = nn.ModuleList([Stage(nn.Conv2d(c.in_channels, ch, 3, padding=1))])
        widths = [ch]  # of every skip connection
        for level, mult in levels:
            for _ in range(c.num_res_blocks):
                self.input_blocks.append(Stage(*self._layers(level, widths[-1], mult * ch)))
                widths.append(mult * ch)
            if level < len(levels) - 1:
                self.input_blocks.append(Stage(self._downsample(widths[-1])))
                widths.append(widths[-1])

        width = widths[-1]
        self.middle_block = Stage(self._residual(width, width), self._attention(width), self._residual(width, width))

        self.output_blocks = nn.ModuleList()
        for level, mult in reversed(levels):
            for i in range(c.num_res_blocks + 1):
                layers = self._layers(level, width + widths.pop(), mult * ch)
                width = mult * ch
                if level > 0 and i == c.num_res_blocks:
                    layers.append(self._upsample(width))
                self.output_blocks.append(Stage(*layers))

        self.out = nn.Sequential(
            nn.GroupNorm(c.norm_groups, width), nn.SiLU(), nn.Conv2d(width, c.out_channels, 3, padding=1)
        )

    def _residual(self, channels: int, width: int) -> ResBlock:
        return ResBlock(channels, width, self.config)

    def _downsample(self, width: int) -> nn.Module:
        if self.config.resblock_updown:
            return ResBlock(width, width, self.config, halve)
        return Downsample(width) if self.config.conv_resample else Resample(halve)

    def _upsample(self, width: int) -> nn.Module:
        if self.config.resblock_updown:
            return ResBlock(width, width, self.config, repeat_cells)
        return Upsample(width) if self.config.conv_resample else Resample(repeat_cells)

    def _attention(self, width: int) -> SpatialTransformer | AttentionBlock:
        c = self.config
        if not c.use_spatial_transformer:
            return AttentionBlock(width, c.heads(width), c.norm_groups)
        # CompVis' UNet hands its dropout to residual blocks and to nothing else
        return SpatialTransformer(width, c.context_dim, c.heads(width), c.transformer_depth, groups=c.norm_groups)

    def _layers(self, level: int, channels: int, width: int) -> list[nn.Module]:
        """A residual block, and attention where the config asks for it at this level's downsampling, 2^level."""
        layers: list[nn.Module] = [self._residual(channels, width)]
        if 2**level in self.config.attention_resolutions:
            layers.append(self._attention(width))
        return layers

    def forward(self, x: Tensor, t: Tensor, context: Tensor | None = None, y: Tensor | None = None) -> Tensor:
        """x [B,in,h,w], t [B] (may be fractional), context [B,L,context_dim], y class ids [B] → [B,out,h,w].

        Raises ValueError where a class is needed and missing, or given and unknown to the model.
        """
        if (y is not None) != (self.config.num_classes is not None):
            raise ValueError(f"this UNet has num_classes={self.config.num_classes}: y must be given exactly when set")
        # the sinusoids need fp32 (bf16 turns t = 951 into 952); the layers behind them have the weights' dtype
        emb = self.time_embed(timestep_embedding(t, self.config.model_channels).to(x.dtype))
        if y is not None:
            emb = emb + self.label_emb(y)
        h, skips = x, []
        for block in self.input_blocks:
            h = block(h, emb, context)
            skips.append(h)
        h = self.middle_block(h, emb, context)
        for block in self.output_blocks:
            h = block(torch.cat([h, skips.pop()], dim=1), emb, context)
        return self.out(h)
