"""The forward process q(x_t | x_0), its posterior, and what follows from any of eps, x0 and v (Ho et al. 2020, §2).

Two ways to say the noise level. Samplers have ᾱ itself, at timesteps that may be fractional; training and CompVis'
classes have whole timesteps int64 [B] and read a schedule's fp32 tables, as the checkpoints carry them: `tables` is
anything with those buffers as attributes, a model, a loss, `tables_of(schedule)`. Samples have any shape [B,…].
"""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from ldm_core.config import Parameterization
from ldm_core.diffusion.schedule import NoiseSchedule

Moments = tuple[Tensor, Tensor, Tensor]  # mean, variance, log-variance


@dataclass(frozen=True, eq=False)
class Prediction:
    """Noise and clean latent, fp32 [C,h,w]; after guidance and correctors, before clipping or quantising."""

    eps: Tensor
    x0: Tensor


def add_noise(x0: Tensor, noise: Tensor, alpha_bar: Tensor) -> Tensor:
    """√ᾱ·x_0 + √(1−ᾱ)·noise (eq. 4); ᾱ broadcasts over x_0."""
    return alpha_bar.sqrt() * x0 + (1.0 - alpha_bar).sqrt() * noise


def to_eps_x0(kind: Parameterization, out: Tensor, x: Tensor, alpha_bar: Tensor) -> Prediction:
    """The network's output as the two things samplers speak of; ᾱ broadcasts over x.

    v = √ᾱ·ε − √(1−ᾱ)·x0 (Salimans & Ho 2022, app. D); x = √ᾱ·x0 + √(1−ᾱ)·ε gives the rest.
    """
    a, s = alpha_bar.sqrt(), (1.0 - alpha_bar).sqrt()
    if kind == "eps":
        return Prediction(out, (x - s * out) / a)
    if kind == "x0":
        return Prediction((x - a * out) / s, out)
    return Prediction(a * out + s * x, a * x - s * out)


def posterior(x0: Tensor, x: Tensor, alpha_bar: Tensor, alpha_bar_prev: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance of q(x_prev | x, x_0) between any two noise levels (eqs. 6, 7)."""
    alpha, rest = alpha_bar / alpha_bar_prev, 1.0 - alpha_bar  # ᾱ_t/ᾱ_prev is the step's own α
    mean = alpha_bar_prev.sqrt() * (1.0 - alpha) / rest * x0 + alpha.sqrt() * (1.0 - alpha_bar_prev) / rest * x
    return mean, (1.0 - alpha_bar_prev) / rest * (1.0 - alpha)


def tables_of(schedule: NoiseSchedule) -> SimpleNamespace:
    """A schedule's twelve buffers as attributes."""
    return SimpleNamespace(**schedule.buffers())


def extract(table: Tensor, t: Tensor, like: Tensor) -> Tensor:
    """table[t] as [B,1,…], to be broadcast over `like`."""
    return table[t].view(-1, *[1] * (like.ndim - 1))


def standard_normal(like: Tensor, generator: torch.Generator | None = None, repeat: bool = False) -> Tensor:
    """N(0,1) of `like`'s shape, fp32; `repeat` gives every sample of the batch the same draw.

    Drawn on the generator's device, so that one seed is one noise on every device.
    """
    shape = (1, *like.shape[1:]) if repeat else like.shape
    draw = torch.randn(shape, generator=generator, device=generator.device if generator else like.device)
    return draw.to(like.device).expand(like.shape)


def q_sample(tables: Any, x_start: Tensor, t: Tensor, noise: Tensor) -> Tensor:
    """x_t = √ᾱ·x_0 + √(1−ᾱ)·noise (eq. 4)."""
    signal = extract(tables.sqrt_alphas_cumprod, t, x_start)
    return signal * x_start + extract(tables.sqrt_one_minus_alphas_cumprod, t, x_start) * noise


def q_mean_variance(tables: Any, x_start: Tensor, t: Tensor) -> Moments:
    """Mean, variance and log-variance of q(x_t | x_0) (eq. 4)."""
    mean = extract(tables.sqrt_alphas_cumprod, t, x_start) * x_start
    variance = extract(1.0 - tables.alphas_cumprod, t, x_start)
    return mean, variance, extract(tables.log_one_minus_alphas_cumprod, t, x_start)


def predict_start_from_noise(tables: Any, x_t: Tensor, t: Tensor, noise: Tensor) -> Tensor:
    """x_0 = x_t/√ᾱ − √(1/ᾱ − 1)·noise: q_sample solved for x_0."""
    recip = extract(tables.sqrt_recip_alphas_cumprod, t, x_t)
    return recip * x_t - extract(tables.sqrt_recipm1_alphas_cumprod, t, x_t) * noise


def get_v(tables: Any, x_start: Tensor, noise: Tensor, t: Tensor) -> Tensor:
    """v = √ᾱ·noise − √(1−ᾱ)·x_0 (Salimans & Ho 2022, app. D)."""
    signal = extract(tables.sqrt_alphas_cumprod, t, x_start)
    return signal * noise - extract(tables.sqrt_one_minus_alphas_cumprod, t, x_start) * x_start


def predict_start_from_v(tables: Any, x_t: Tensor, t: Tensor, v: Tensor) -> Tensor:
    """x_0 = √ᾱ·x_t − √(1−ᾱ)·v (Salimans & Ho 2022, app. D)."""
    signal = extract(tables.sqrt_alphas_cumprod, t, x_t)
    return signal * x_t - extract(tables.sqrt_one_minus_alphas_cumprod, t, x_t) * v


def predict_start(tables: Any, kind: Parameterization, x_t: Tensor, t: Tensor, out: Tensor) -> Tensor:
    """x_0 from whatever the network predicts."""
    if kind == "x0":
        return out
    convert = predict_start_from_noise if kind == "eps" else predict_start_from_v
    return convert(tables, x_t, t, out)


def q_posterior(tables: Any, x_start: Tensor, x_t: Tensor, t: Tensor) -> Moments:
    """Mean, variance and clipped log-variance of q(x_{t−1} | x_t, x_0) (eqs. 6, 7; variance as v_posterior says)."""
    mean = extract(tables.posterior_mean_coef1, t, x_t) * x_start + extract(tables.posterior_mean_coef2, t, x_t) * x_t
    variance = extract(tables.posterior_variance, t, x_t)
    return mean, variance, extract(tables.posterior_log_variance_clipped, t, x_t)
