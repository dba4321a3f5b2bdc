"""The reference's classes under its own names, for those who come from its text: thin, over ldm_core's own parts."""

from __future__ import annotations

from ldm_core.compvis.ddim import DDIMSampler
from ldm_core.compvis.ddpm import DDPM
from ldm_core.compvis.latent_diffusion import LatentDiffusion
from ldm_core.compvis.options import DDPMOptions, LambdaLinear
from ldm_core.compvis.weights import LoadReport, init_from_ckpt

__all__ = [
    "DDPM",
    "DDIMSampler",
    "DDPMOptions",
    "LambdaLinear",
    "LatentDiffusion",
    "LoadReport",
    "init_from_ckpt",
]
