"""A picture at any t of the loaded model's schedule: noise over its pixels, and over its latent."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from app.engine import Stepped
from ldm_core.diffusion.gaussian import q_sample, tables_of
from ldm_core.images import Pixels, to_tensor, to_uint8

if TYPE_CHECKING:
    from ldm_core.pipeline import Pipeline


@dataclass(frozen=True, eq=False)
class Noised:
    """Two ways to the same t, uint8 [H,W,3] each, and the factors there."""

    pixels: Pixels
    latent: Pixels
    signal: float
    noise: float
    snr: float


def noised(pipe: Pipeline, picture: Pixels, t: int, seed: int) -> Generator[Stepped, None, Noised]:
    """A picture uint8 [H,W,3] at timestep t, with the noise of `seed` the same at every t."""
    schedule, at = pipe.schedule, torch.tensor([t])
    tables, generator = tables_of(schedule), torch.Generator().manual_seed(seed)
    x0 = to_tensor(picture[None])
    z0 = pipe.encode_image(picture)[None]
    x = q_sample(tables, x0, at, torch.randn(x0.shape, generator=generator))
    z = q_sample(tables, z0, at, torch.randn(z0.shape, generator=generator))
    yield Stepped(1, 1, float(t), 0.0, None)
    a = schedule.alphas_cumprod[t]
    return Noised(to_uint8(x)[0], pipe.decode(z)[0], float(a**0.5), float((1 - a) ** 0.5), float(schedule.snr[t]))
