"""Samplers in the words of Karras et al. (2022): z = x/√ᾱ = x0 + σ·eps, walking σ down.

They ask at variance-preserving scale, x = z/√(1+σ²), so that a network sees what it was trained on.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ldm_core.diffusion.denoiser import ModelInput
from ldm_core.diffusion.samplers.base import Noise, Project, SamplerCoroutine, identity
from ldm_core.diffusion.schedule import TimestepGrid


def sigmas_of(grid: TimestepGrid, last_sigma: float) -> Tensor:
    """σ = √((1−ᾱ)/ᾱ) of every step and the one after the last: [n+1]."""
    sigmas = ((1.0 - grid.alpha_bar) / grid.alpha_bar).sqrt()
    return torch.cat([sigmas, sigmas.new_tensor([last_sigma])])


def to_z(x: Tensor, sigma: Tensor) -> Tensor:
    """x/√ᾱ."""
    return x * (1.0 + sigma**2).sqrt()


def to_x(z: Tensor, sigma: Tensor) -> Tensor:
    """z·√ᾱ."""
    return z / (1.0 + sigma**2).sqrt()


def euler(
    x: Tensor, grid: TimestepGrid, *, noise: Noise, project: Project = identity, last_sigma: float = 0.0
) -> SamplerCoroutine:
    """Euler's method on dz/dσ = eps (Karras et al. 2022, alg. 1 without correction), first order.

    Deterministic, ignores eta: DDIM at eta 0, but for the last step. Last σ: 0.
    """
    sigmas = sigmas_of(grid, last_sigma)
    z = to_z(x, sigmas[0])
    for i in range(len(grid)):
        prediction = yield ModelInput(to_x(z, sigmas[i]), grid.t[i], i)
        x0 = project(prediction.x0)
        z = x0 + sigmas[i + 1] / sigmas[i] * (z - x0)
        noise()
    return to_x(z, sigmas[-1])


def euler_a(
    x: Tensor,
    grid: TimestepGrid,
    *,
    noise: Noise,
    project: Project = identity,
    last_sigma: float = 0.0,
    ancestral: float = 1.0,
) -> SamplerCoroutine:
    """Euler down to a lower σ, then noise up to the next one (ancestral sampling in σ), first order, stochastic.

    `ancestral` is this sampler's own eta: it is DDIM at that eta, but for the last step. The grid's eta is ignored.
    Last σ: 0.
    """
    sigmas = sigmas_of(grid, last_sigma)
    z = to_z(x, sigmas[0])
    for i in range(len(grid)):
        prediction = yield ModelInput(to_x(z, sigmas[i]), grid.t[i], i)
        x0, sigma, after = project(prediction.x0), sigmas[i], sigmas[i + 1]
        up = ancestral * after * (1.0 - (after / sigma) ** 2).sqrt()
        down = (after**2 - up**2).clamp(min=0.0).sqrt()
        z = x0 + down / sigma * (z - x0) + up * noise()
    return to_x(z, sigmas[-1])


def heun(
    x: Tensor, grid: TimestepGrid, *, noise: Noise, project: Project = identity, last_sigma: float = 0.0
) -> SamplerCoroutine:
    """Heun's method: Euler, then the mean of both slopes (Karras et al. 2022, alg. 1), second order.

    Asks twice a step, once in the last. Deterministic, ignores eta. Last σ: 0.
    """
    sigmas = sigmas_of(grid, last_sigma)
    z = to_z(x, sigmas[0])
    for i in range(len(grid)):
        prediction = yield ModelInput(to_x(z, sigmas[i]), grid.t[i], i)
        slope, step = (z - project(prediction.x0)) / sigmas[i], sigmas[i + 1] - sigmas[i]
        ahead = z + step * slope
        if i < len(grid) - 1:
            prediction = yield ModelInput(to_x(ahead, sigmas[i + 1]), grid.t[i + 1], i)
            slope = (slope + (ahead - project(prediction.x0)) / sigmas[i + 1]) / 2.0
            ahead = z + step * slope
        z = ahead
        noise()
    return to_x(z, sigmas[-1])
