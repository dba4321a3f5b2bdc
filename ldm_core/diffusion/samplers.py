"""Samplers as coroutines: each yields a Query, is sent an Answer, and returns the final latent.

A sampler never sees a model, and works on one image of any shape [C,h,w]. To add one: write a generator with this
signature, put it into SAMPLERS, and add a row to tests/diffusion/test_samplers.py.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Protocol

from torch import Tensor

from ldm_core.diffusion.denoiser import Answer, Query
from ldm_core.diffusion.schedule import Grid

Trajectory = Generator[Query, Answer, Tensor]
Noise = Callable[[], Tensor]  # one standard normal draw of x's shape
Project = Callable[[Tensor], Tensor]  # what is done to every x0 estimate: clip, quantise, nothing
Blend = Callable[[Tensor, Tensor], Tensor]  # what is done to x before the question at t: inpainting, nothing


def identity(x0: Tensor) -> Tensor:
    """Leave the estimate as it is."""
    return x0


def unblended(x: Tensor, t: Tensor) -> Tensor:
    """Leave x as it is."""
    return x


class Sampler(Protocol):
    """What every sampler looks like."""

    def __call__(
        self, x: Tensor, grid: Grid, *, noise: Noise, project: Project = identity, blend: Blend = unblended
    ) -> Trajectory:
        """x [C,h,w] at the grid's first noise level → coroutine returning the latent after its last step."""
        ...


def ddim_update(eps: Tensor, x0: Tensor, alpha_bar_prev: Tensor, sigma: Tensor, noise: Tensor) -> Tensor:
    """x_{t−1} = √ᾱ_prev·x0 + √(1−ᾱ_prev−σ²)·eps + σ·noise (Song et al. 2021, eq. 12). Shared with DDIMSampler."""
    direction = (1.0 - alpha_bar_prev - sigma**2).clamp(min=0.0).sqrt() * eps
    return alpha_bar_prev.sqrt() * x0 + direction + sigma * noise


def ddim(x: Tensor, grid: Grid, *, noise: Noise, project: Project = identity, blend: Blend = unblended) -> Trajectory:
    """Denoising diffusion implicit models (Song et al. 2021). Ends at the noise level of t = 0, as published.

    One draw per step even where σ = 0, so that eta does not shift later randomness.
    """
    for i in range(len(grid)):
        x = blend(x, grid.t[i])
        answer = yield Query(x, grid.t[i], i)
        x = ddim_update(answer.eps, project(answer.x0), grid.alpha_bar_prev[i], grid.sigma[i], noise())
    return x


def ddpm(x: Tensor, grid: Grid, *, noise: Noise, project: Project = identity, blend: Blend = unblended) -> Trajectory:
    """Ancestral sampling from q(x_prev | x, x0) with its own variance (Ho et al. 2020, alg. 2), on any grid.

    Ends at x0 itself (σ = 0): the last step's posterior is a point, and no noise is added.
    """
    for i in range(len(grid)):
        x = blend(x, grid.t[i])
        answer = yield Query(x, grid.t[i], i)
        x0, draw = project(answer.x0), noise()
        if i == len(grid) - 1:
            return x0
        a, prev = grid.alpha_bar[i], grid.alpha_bar_prev[i]
        alpha, rest = a / prev, 1.0 - a  # ᾱ_t/ᾱ_prev is the grid's own α
        mean = prev.sqrt() * (1.0 - alpha) / rest * x0 + alpha.sqrt() * (1.0 - prev) / rest * x
        x = mean + ((1.0 - prev) / rest * (1.0 - alpha)).sqrt() * draw
    return x


SAMPLERS: dict[str, Sampler] = {"ddim": ddim, "ddpm": ddpm}
