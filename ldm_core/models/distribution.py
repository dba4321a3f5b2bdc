"""The first stage's posterior: a Gaussian with independent elements."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor


class DiagonalGaussianDistribution:
    """N(mean, diag(var)) from moments [B,2C,h,w]: mean and log-variance stacked, log-variance clamped to [-30, 20].

    `deterministic` makes the variance zero, so that a sample is the mean and kl() and nll() are zero by definition.
    """

    def __init__(self, parameters: Tensor, deterministic: bool = False) -> None:
        self.parameters = parameters
        self.deterministic = deterministic
        self.mean, logvar = parameters.chunk(2, dim=1)
        self.logvar = logvar.clamp(-30.0, 20.0)
        zero = torch.zeros_like(self.mean)
        self.std = zero if deterministic else (0.5 * self.logvar).exp()
        self.var = zero if deterministic else self.logvar.exp()

    def sample(self, generator: torch.Generator | None = None) -> Tensor:
        """mean + std·N(0,1), [B,C,h,w]; drawn in fp32 on the generator's device, so one seed is one sample anywhere."""
        device = self.mean.device if generator is None else generator.device
        noise = torch.randn(self.mean.shape, generator=generator, device=device)
        return self.mean + self.std * noise.to(self.mean)

    def mode(self) -> Tensor:
        """The most likely latent, [B,C,h,w]."""
        return self.mean

    def kl(self, other: DiagonalGaussianDistribution | None = None) -> Tensor:
        """KL(self ‖ other) in nats, summed over a sample: [B]. None is N(0, I) (Kingma & Welling 2013, app. B)."""
        if self.deterministic:
            return self.mean.new_zeros(1)
        if other is None:
            terms = self.mean**2 + self.var - 1.0 - self.logvar
        else:
            terms = (self.mean - other.mean) ** 2 / other.var + self.var / other.var - 1.0 - self.logvar + other.logvar
        return 0.5 * terms.sum(dim=(1, 2, 3))

    def nll(self, sample: Tensor, dims: Sequence[int] = (1, 2, 3)) -> Tensor:
        """−log p(sample) in nats, summed over `dims`."""
        if self.deterministic:
            return self.mean.new_zeros(1)
        terms = math.log(2.0 * math.pi) + self.logvar + (sample - self.mean) ** 2 / self.var
        return 0.5 * terms.sum(dim=tuple(dims))


class PointPosterior:
    """A posterior without spread: every sample is the latent itself. Of first stages that are no Gaussian encoder."""

    def __init__(self, mean: Tensor) -> None:
        self.mean = mean
        self.std = self.var = torch.zeros_like(mean)

    def sample(self, generator: torch.Generator | None = None) -> Tensor:
        """The latent [B,C,h,w]; nothing is drawn."""
        del generator
        return self.mean

    def mode(self) -> Tensor:
        """The latent [B,C,h,w]."""
        return self.mean


Posterior = DiagonalGaussianDistribution | PointPosterior
