"""From a picture back to its noise, and between two noises or two prompts."""

from __future__ import annotations

import torch
from torch import Tensor

from ldm_core.diffusion.denoiser import ModelInput
from ldm_core.diffusion.gaussian import to_eps_x0
from ldm_core.diffusion.samplers.base import SamplerCoroutine
from ldm_core.diffusion.samplers.ddim import ddim_update
from ldm_core.diffusion.schedule import TimestepGrid


def ddim_inversion(x: Tensor, grid: TimestepGrid, *, refine: int = 0) -> SamplerCoroutine:
    """DDIM backwards (Song et al. 2021, §4.3): a latent [C,h,w] at the grid's last level → its noise at the first.

    A step up needs eps at its upper end and takes it from the lower, so that there and back is exact only for small
    steps. Each of the `refine` further predictions a step solves for the true upper end (a fixed-point iteration: Pan
    et al. 2023). Inputs come in the order walked, from step 0 at low noise.
    """
    t = torch.cat([grid.t, grid.t.new_zeros(1)])  # below the last step lies t = 0
    for step, i in enumerate(reversed(range(len(grid)))):
        lower, upper = grid.alpha_bar_prev[i], grid.alpha_bar[i]
        prediction = yield ModelInput(x, t[i + 1], step)
        up = ddim_inversion_step(x, prediction.eps, lower, upper)
        for _ in range(refine):
            prediction = yield ModelInput(up, t[i], step)
            up = ddim_inversion_step(x, prediction.eps, lower, upper)
        x = up
    return x


def ddim_inversion_step(x: Tensor, eps: Tensor, lower: Tensor, upper: Tensor) -> Tensor:
    """The x at ᾱ `upper` whose deterministic DDIM step with this eps leads to x at ᾱ `lower`."""
    x0 = to_eps_x0("eps", eps, x, lower).x0
    return ddim_update(eps, x0, upper, torch.zeros_like(upper), torch.zeros_like(x))


def slerp(a: Tensor, b: Tensor, weight: float) -> Tensor:
    """From noise a (weight 0) to noise b (1) along the great circle between them (Shoemake 1985); any one shape.

    A straight line between two normal draws passes through much shorter vectors, which no network has seen as noise.
    Nearly parallel noises are mixed along the line.
    """
    cosine = (a.flatten() @ b.flatten()) / (a.norm() * b.norm())
    angle = cosine.clamp(-1.0, 1.0).arccos()
    if angle.sin() < 1e-4:
        return lerp(a, b, weight)
    return (((1.0 - weight) * angle).sin() * a + (weight * angle).sin() * b) / angle.sin()


def lerp(a: Tensor, b: Tensor, weight: float) -> Tensor:
    """From a (weight 0) to b (1) along the line: between the contexts [L,D] of two prompts."""
    return (1.0 - weight) * a + weight * b
