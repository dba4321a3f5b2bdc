"""The vector-quantised first stage (van den Oord et al. 2017; Esser et al. 2021), with CompVis' key names."""

from __future__ import annotations

from typing import NamedTuple

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional as F

from ldm_core.config import AutoencoderConfig
from ldm_core.models.autoencoder import Decoder, Encoder
from ldm_core.models.distribution import PointPosterior


class CodebookInfo(NamedTuple):
    """Which entries a batch used: indices int64 [B,h,w], and two scalars over the whole batch."""

    indices: Tensor
    perplexity: Tensor  # exp of the entropy of the entries' shares: 1 … n_embed
    cluster_usage: Tensor  # entries that occur at all


class Quantized(NamedTuple):
    """Codebook vectors [B,D,h,w] with the encoder's gradient, the codebook's loss (scalar), what was used."""

    quant: Tensor
    loss: Tensor
    info: CodebookInfo


class VectorQuantizer(nn.Module):
    """Replaces every cell's vector by the nearest of n_embed learned ones.

    loss = ‖sg(z) − q‖² + β‖z − sg(q)‖², means over elements (van den Oord et al. 2017, eq. 3; sg stops the gradient).
    legacy=True puts β on the first term instead, as CompVis' code does by a mistake it keeps for old runs.
    """

    def __init__(self, n_embed: int, dim: int, beta: float = 0.25, legacy: bool = False) -> None:
        super().__init__()
        if n_embed < 2 or dim < 1 or beta < 0:
            raise ValueError(f"a codebook needs n_embed >= 2, dim >= 1, beta >= 0, not {n_embed}, {dim}, {beta}")
        self.n_embed, self.dim, self.beta, self.legacy = n_embed, dim, beta, legacy
        self.embedding = nn.Embedding(n_embed, dim)
        nn.init.uniform_(self.embedding.weight, -1.0 / n_embed, 1.0 / n_embed)

    def nearest(self, z: Tensor) -> Tensor:
        """Indices int64 [B,h,w] of the entries nearest to z [B,D,h,w]; the lowest index where two are equally near."""
        rows = rearrange(z, "b d h w -> (b h w) d")
        book = self.embedding.weight
        # ‖z‖² is the same for every entry
        distance = book.square().sum(1) - 2.0 * rows @ book.T
        return rearrange(distance.argmin(1), "(b h w) -> b h w", b=z.shape[0], h=z.shape[2])

    def lookup(self, indices: Tensor) -> Tensor:
        """int64 [B,h,w] → entries [B,D,h,w]."""
        return rearrange(self.embedding.weight[indices], "b h w d -> b d h w")

    def forward(self, z: Tensor) -> Quantized:
        """z [B,D,h,w] → its nearest entries; the gradient passes straight through to z."""
        indices = self.nearest(z)
        q = self.lookup(indices)
        codebook, commitment = F.mse_loss(q, z.detach()), F.mse_loss(q.detach(), z)
        loss = self.beta * codebook + commitment if self.legacy else codebook + self.beta * commitment
        return Quantized(z + (q - z).detach(), loss, codebook_info(indices, self.n_embed))


def codebook_info(indices: Tensor, n_embed: int) -> CodebookInfo:
    """Perplexity and usage of a batch of indices."""
    counts = torch.bincount(indices.flatten(), minlength=n_embed).float()
    share = counts / counts.sum()
    entropy = -torch.xlogy(share, share).sum()
    return CodebookInfo(indices, entropy.exp(), (counts > 0).sum())


class VQModel(nn.Module):
    """Autoencoder whose latents are codebook entries."""

    def __init__(self, config: AutoencoderConfig) -> None:
        super().__init__()
        if config.kind != "vq":
            raise ValueError(f"VQModel needs a config of kind 'vq', not {config.kind!r}")
        self.config = config
        self.encoder = Encoder(config)
        self.decoder = Decoder(config)
        self.quantize = VectorQuantizer(config.n_embed, config.embed_dim, config.beta)
        self.quant_conv = nn.Conv2d(config.z_channels, config.embed_dim, 1)
        self.post_quant_conv = nn.Conv2d(config.embed_dim, config.z_channels, 1)

    def encode_to_prequant(self, image: Tensor) -> Tensor:
        """Image [B,3,H,W] in [-1,1] → latent before the codebook, [B,embed_dim,H/f,W/f]."""
        return self.quant_conv(self.encoder(image))

    def encode(self, image: Tensor) -> Quantized:
        """Image [B,3,H,W] in [-1,1] → (quant [B,embed_dim,H/f,W/f], codebook loss, info)."""
        return self.quantize(self.encode_to_prequant(image))

    def decode(self, quant: Tensor) -> Tensor:
        """Codebook vectors [B,embed_dim,h,w] → image [B,3,f·h,f·w], about [-1,1], not clamped."""
        return self.decoder(self.post_quant_conv(quant))

    def decode_code(self, indices: Tensor) -> Tensor:
        """Codebook indices int64 [B,h,w] → image [B,3,f·h,f·w]."""
        return self.decode(self.quantize.lookup(indices))

    def forward(self, image: Tensor) -> tuple[Tensor, Quantized]:
        """Reconstruction [B,3,H,W], and the latents with their loss."""
        quantized = VQModel.encode(self, image)
        return VQModel.decode(self, quantized.quant), quantized

    def get_last_layer(self) -> Tensor:
        """The weight at which the adaptive GAN weight compares gradients."""
        return self.decoder.conv_out.weight


class VQModelInterface(VQModel):
    """The same as a first stage of latent diffusion: latents are taken before the codebook, which moves into decode."""

    def encode(self, image: Tensor) -> PointPosterior:  # type: ignore[override]
        """Image [B,3,H,W] in [-1,1] → the one latent it has, not quantised."""
        return PointPosterior(self.encode_to_prequant(image))

    def decode(self, h: Tensor, force_not_quantize: bool = False) -> Tensor:
        """Latent [B,embed_dim,h,w], quantised here unless told otherwise → image [B,3,f·h,f·w]."""
        return super().decode(h if force_not_quantize else self.quantize(h).quant)
