"""The reference's classes under its own names, for those who come from its text: thin, over ldm_core's own parts."""

from __future__ import annotations

from ldm_core.doors.ddim import DDIMSampler
from ldm_core.doors.ddpm import DDPM
from ldm_core.doors.latent_diffusion import LatentDiffusion
from ldm_core.doors.options import DDPMOptions, LambdaLinear
from ldm_core.doors.weights import LoadReport, init_from_ckpt

__all__ = [
    "DDPM",
    "DDIMSampler",
    "DDPMOptions",
    "LambdaLinear",
    "LatentDiffusion",
    "LoadReport",
    "init_from_ckpt",
]
