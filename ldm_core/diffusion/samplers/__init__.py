"""Samplers as coroutines: each yields a ModelInput, is sent a Prediction, and returns the final latent.

A sampler never sees a model, and works on one image of any shape [C,h,w]. To add one: write a generator with the
signature of `Sampler`, put it into SAMPLERS, and add a row to tests/diffusion/test_samplers.py and docs/samplers.md.
"""

from __future__ import annotations

from ldm_core.diffusion.samplers.base import (
    Blend,
    Noise,
    Project,
    Sampler,
    SamplerCoroutine,
    identity,
    no_blend,
    scale_noise,
)
from ldm_core.diffusion.samplers.ddim import ddim, ddim_update, ddpm, plms
from ldm_core.diffusion.samplers.multistep import dpmpp_2m, dpmpp_2m_sde, unipc
from ldm_core.diffusion.samplers.sigma import euler, euler_a, heun, sigmas_of

SAMPLERS: dict[str, Sampler] = {
    "ddim": ddim,
    "ddpm": ddpm,
    "plms": plms,
    "euler": euler,
    "euler_a": euler_a,
    "heun": heun,
    "dpmpp_2m": dpmpp_2m,
    "dpmpp_2m_sde": dpmpp_2m_sde,
    "unipc": unipc,
}

__all__ = [
    "SAMPLERS",
    "Blend",
    "Noise",
    "Project",
    "Sampler",
    "SamplerCoroutine",
    "ddim",
    "ddim_update",
    "ddpm",
    "dpmpp_2m",
    "dpmpp_2m_sde",
    "euler",
    "euler_a",
    "heun",
    "identity",
    "no_blend",
    "plms",
    "scale_noise",
    "sigmas_of",
    "unipc",
]
