"""Keeping part of a picture while the rest is repainted: two ways to blend, chosen by sampler."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from ldm_core.diffusion.denoiser import ModelInput
from ldm_core.diffusion.gaussian import Prediction, add_noise, to_eps_x0
from ldm_core.diffusion.schedule import NoiseSchedule

MASK_STREAM = 0x6D61736B  # keeps the mask's noise apart from the image's: same seed, another stream


class Inpainting:
    """Kept latent z0 [C,h,w] under mask uint8 [H,W]: white (≥ 128) is repainted, everything else stays.

    A latent cell is repainted when any of its pixels is; the pixels that were not are pasted back after decoding.
    """

    def __init__(self, z0: Tensor, mask: NDArray[np.uint8], schedule: NoiseSchedule, seed: int) -> None:
        white = torch.from_numpy(np.ascontiguousarray(mask >= 128)).float()[None, None]
        self.z0 = z0
        self.keep = 1.0 - F.adaptive_max_pool2d(white, z0.shape[-2:])[0]
        self.schedule = schedule
        self.generator = torch.Generator().manual_seed(seed ^ MASK_STREAM)

    def blend(self, x: Tensor, t: Tensor) -> Tensor:
        """Before each input, as in CompVis' code: the kept part of x is q(x_t | z0), drawn anew at every step."""
        noise = torch.randn(self.z0.shape, generator=self.generator)
        kept = add_noise(self.z0, noise, self.schedule.alpha_bar_at(t))
        return self.keep * kept + (1.0 - self.keep) * x

    def correct(self, model_input: ModelInput, prediction: Prediction) -> Prediction:
        """After each prediction, for samplers with a memory: the kept part of x0 is z0, and eps follows from it."""
        x0 = self.keep * self.z0 + (1.0 - self.keep) * prediction.x0
        return to_eps_x0("x0", x0, model_input.x, self.schedule.alpha_bar_at(model_input.t))
