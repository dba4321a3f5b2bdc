"""The forward process and its posterior at whole timesteps, read from a schedule's tables (Ho et al. 2020, §2).

`tables` is anything with the checkpoint's buffers as attributes: a model, a sampler, `Tables(schedule)`. Timesteps are
int64 [B]; samples have any shape [B,…].
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from ldm_core.config import Parameterization
from ldm_core.diffusion.schedule import NoiseSchedule

Moments = tuple[Tensor, Tensor, Tensor]  # mean, variance, log-variance


def tables_of(schedule: NoiseSchedule) -> SimpleNamespace:
    """A schedule's twelve buffers as attributes."""
    return SimpleNamespace(**schedule.buffers())


def extract(table: Tensor, t: Tensor, like: Tensor) -> Tensor:
    """table[t] as [B,1,…], to be broadcast over `like`."""
    return table[t].view(-1, *[1] * (like.ndim - 1))


def standard_normal(
    like: Tensor, generator: torch.Generator | None = None, repeat: bool = False, device: torch.device | None = None
) -> Tensor:
    """N(0,1) of `like`'s shape, fp32; `repeat` gives every sample of the batch the same draw.

    Drawn on the generator's device, so that one seed is one noise on every device.
    """
    shape = (1, *like.shape[1:]) if repeat else like.shape
    draw = torch.randn(shape, generator=generator, device=generator.device if generator else like.device)
    return draw.to(device or like.device).expand(like.shape)


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


def predict_noise_from_start(tables: Any, x_t: Tensor, t: Tensor, x_start: Tensor) -> Tensor:
    """The noise in x_t if x_0 is x_start: q_sample solved for the noise."""
    recip = extract(tables.sqrt_recip_alphas_cumprod, t, x_t)
    return (recip * x_t - x_start) / extract(tables.sqrt_recipm1_alphas_cumprod, t, x_t)


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
