"""Tuning a decoder behind a frozen encoder: latents keep their meaning, and a diffusion trained on them its use."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ldm_core.models.autoencoder import AutoencoderKL
from ldm_core.models.distribution import DiagonalGaussianDistribution


class DecoderTuning(nn.Module):
    """A KL autoencoder as `forward` sees it, its encoder frozen, its decoder handed latents that are a little off.

    A sampler's latents never lie exactly where an encoder's do. A decoder that has only seen the latter paints the
    difference as blotches; one that has seen noise on them learns what a drawing would have there.
    """

    def __init__(self, autoencoder: AutoencoderKL, noise: float) -> None:
        """noise: each picture's latent gets Gaussian noise of a deviation between 0 and this, in unscaled latents."""
        super().__init__()
        self.autoencoder, self.noise = autoencoder, noise
        for part in (autoencoder.encoder, autoencoder.quant_conv):
            part.requires_grad_(False)

    def forward(
        self, image: Tensor, sample_posterior: bool = True, generator: torch.Generator | None = None
    ) -> tuple[Tensor, DiagonalGaussianDistribution]:
        """Image [B,3,H,W] in [-1,1] → reconstruction from a disturbed latent, and the undisturbed posterior."""
        with torch.no_grad():
            posterior = self.autoencoder.encode(image)
        z = posterior.sample(generator) if sample_posterior else posterior.mode()
        level = self.noise * torch.rand((len(z), 1, 1, 1), generator=generator)
        off = level * torch.randn(z.shape, generator=generator)
        return self.autoencoder.decode(z + off.to(z)), posterior
