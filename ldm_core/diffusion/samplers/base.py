"""What samplers have in common: their shape, and the words for what is handed to them."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Protocol

import torch
from torch import Tensor

from ldm_core.diffusion.denoiser import ModelInput
from ldm_core.diffusion.gaussian import Prediction
from ldm_core.diffusion.schedule import TimestepGrid

SamplerCoroutine = Generator[ModelInput, Prediction, Tensor]
Noise = Callable[[], Tensor]  # one standard normal draw of x's shape
Project = Callable[[Tensor], Tensor]  # what is done to every x0 estimate: clip, quantise, nothing
Blend = Callable[[Tensor, Tensor], Tensor]  # what is done to x before it is asked about at t: inpainting, nothing


class Sampler(Protocol):
    """What every sampler looks like. Each draws noise once a step, used or not, so that seeds mean the same."""

    def __call__(self, x: Tensor, grid: TimestepGrid, *, noise: Noise, project: Project = ...) -> SamplerCoroutine:
        """x [C,h,w] at the grid's first noise level → coroutine returning the latent after its last step."""
        ...


def identity(x0: Tensor) -> Tensor:
    """Leave the estimate as it is."""
    return x0


def no_blend(x: Tensor, t: Tensor) -> Tensor:
    """Leave x as it is."""
    return x


def scale_noise(draw: Tensor, temperature: float, noise_dropout: float, generator: torch.Generator | None) -> Tensor:
    """CompVis' two options for a noise draw: scale it, and drop a share of it (the rest is scaled up).

    What is dropped comes from `generator`, which should not be the one of the draw: switching dropout on then shifts
    nothing.
    """
    if not 0.0 <= noise_dropout < 1.0:
        raise ValueError(f"noise_dropout must lie in [0, 1), not {noise_dropout}")
    draw = temperature * draw
    if noise_dropout == 0.0:
        return draw
    device = draw.device if generator is None else generator.device
    kept = torch.rand(draw.shape, generator=generator, device=device).to(draw.device) >= noise_dropout
    return draw * kept / (1.0 - noise_dropout)
