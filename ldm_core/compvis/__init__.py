"""CompVis' classes under their own names, signatures and batch loops: thin adapters over ldm_core's own parts.

For those who come from CompVis' latent-diffusion or stable-diffusion repositories. Nothing below imports this package.
"""

from __future__ import annotations

from ldm_core.compvis.ddim import DDIMSampler
from ldm_core.compvis.ddpm import DDPM
from ldm_core.compvis.dpm_solver import DPMSolverSampler
from ldm_core.compvis.latent_diffusion import LatentDiffusion
from ldm_core.compvis.options import DDPMOptions, LambdaLinear
from ldm_core.compvis.plms import PLMSSampler
from ldm_core.compvis.registry import instantiate_from_config, model_from_yaml
from ldm_core.compvis.weights import LoadReport, init_from_ckpt

__all__ = [
    "DDPM",
    "DDIMSampler",
    "DDPMOptions",
    "DPMSolverSampler",
    "LambdaLinear",
    "LatentDiffusion",
    "LoadReport",
    "PLMSSampler",
    "init_from_ckpt",
    "instantiate_from_config",
    "model_from_yaml",
]
