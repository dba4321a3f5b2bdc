"""Samplers that stay at variance-preserving scale: CompVis' DDIM and PLMS, and DDPM."""

from __future__ import annotations

from torch import Tensor

from ldm_core.diffusion.denoiser import ModelInput
from ldm_core.diffusion.gaussian import posterior, to_eps_x0
from ldm_core.diffusion.samplers.base import Blend, Noise, Project, SamplerCoroutine, identity, no_blend
from ldm_core.diffusion.schedule import TimestepGrid


def ddim_update(eps: Tensor, x0: Tensor, alpha_bar_prev: Tensor, sigma: Tensor, noise: Tensor) -> Tensor:
    """x_{t−1} = √ᾱ_prev·x0 + √(1−ᾱ_prev−σ²)·eps + σ·noise (Song et al. 2021, eq. 12). Shared with DDIMSampler."""
    direction = (1.0 - alpha_bar_prev - sigma**2).clamp(min=0.0).sqrt() * eps
    return alpha_bar_prev.sqrt() * x0 + direction + sigma * noise


def ddim(
    x: Tensor, grid: TimestepGrid, *, noise: Noise, project: Project = identity, blend: Blend = no_blend
) -> SamplerCoroutine:
    """Denoising diffusion implicit models (Song et al. 2021), first order; stochastic where the grid's eta > 0.

    Last σ: that of t = 0, as in CompVis' code (0.0292 for SD's schedule).
    """
    for i in range(len(grid)):
        x = blend(x, grid.t[i])
        prediction = yield ModelInput(x, grid.t[i], i)
        x = ddim_update(prediction.eps, project(prediction.x0), grid.alpha_bar_prev[i], grid.sigma[i], noise())
    return x


def ddpm(
    x: Tensor, grid: TimestepGrid, *, noise: Noise, project: Project = identity, end_at_x0: bool = True
) -> SamplerCoroutine:
    """Ancestral sampling from q(x_prev | x, x0) with its own variance (Ho et al. 2020, alg. 2), on any grid.

    Ignores eta. Last σ: 0, since the last posterior is a point; with end_at_x0 False it is that of t = 0.
    """
    for i in range(len(grid)):
        prediction = yield ModelInput(x, grid.t[i], i)
        x0, draw = project(prediction.x0), noise()
        if end_at_x0 and i == len(grid) - 1:
            return x0
        mean, variance = posterior(x0, x, grid.alpha_bar[i], grid.alpha_bar_prev[i])
        x = mean + variance.sqrt() * draw
    return x


# Adams–Bashforth weights for the present eps and up to three earlier ones (Liu et al. 2022, eq. 12)
ADAMS = ((1.0,), (3 / 2, -1 / 2), (23 / 12, -16 / 12, 5 / 12), (55 / 24, -59 / 24, 37 / 24, -9 / 24))


def plms(x: Tensor, grid: TimestepGrid, *, noise: Noise, project: Project = identity) -> SamplerCoroutine:
    """Pseudo linear multistep (Liu et al. 2022, §3.4): a mean of the last four eps; the first step asks twice.

    Deterministic, ignores eta. Last σ: that of t = 0, as in CompVis' code. The weights assume equal steps in σ, so that
    on other grids the fourth-order formula is of second order.
    """
    past: list[Tensor] = []
    for i in range(len(grid)):
        a, prev = grid.alpha_bar[i], grid.alpha_bar_prev[i]

        def step(eps: Tensor, x: Tensor = x, a: Tensor = a, prev: Tensor = prev) -> Tensor:
            x0 = project(to_eps_x0("eps", eps, x, a).x0)
            return ddim_update(eps, x0, prev, 0.0 * a, 0.0 * eps)

        prediction = yield ModelInput(x, grid.t[i], i)
        past = [prediction.eps, *past[:3]]
        if i == 0 and len(grid) > 1:
            ahead = yield ModelInput(step(prediction.eps), grid.t[1], 0)
            eps = (prediction.eps + ahead.eps) / 2.0
        else:
            eps = sum((w * e for w, e in zip(ADAMS[len(past) - 1], past, strict=True)), 0.0 * prediction.eps)
        x = step(eps)
        noise()
    return x
