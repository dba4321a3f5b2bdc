"""CompVis' DPMSolverSampler: DPM-Solver++(2M) over batches (Lu et al. 2022b), by the coroutine of the library."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ldm_core.compvis.conditions import batch_sizes
from ldm_core.compvis.ddim import DDIMSampler
from ldm_core.diffusion.denoiser import ModelInput
from ldm_core.diffusion.gaussian import Prediction, standard_normal
from ldm_core.diffusion.sample_loop import drive
from ldm_core.diffusion.samplers import dpmpp_2m
from ldm_core.diffusion.schedule import TimestepGrid
from ldm_core.models.latent_diffusion import Condition

FEW = 15  # with fewer steps the last one is of first order, as in the authors' code


class DPMSolverSampler(DDIMSampler):
    """Timesteps uniform from T − 1 to 0, which are fractional between; log ᾱ is linear in between. Deterministic."""

    @torch.no_grad()
    def sample(  # type: ignore[override]
        self,
        S: int,
        batch_size: int,
        shape: Sequence[int],
        conditioning: Condition = None,
        x_T: Tensor | None = None,
        unconditional_guidance_scale: float = 1.0,
        unconditional_conditioning: Condition = None,
        generator: torch.Generator | None = None,
        **unused: Any,
    ) -> tuple[Tensor, None]:
        """S steps for a batch of latents `shape` [C,h,w] → (latents [B,C,h,w] at ᾱ[0], None).

        Options of DDIMSampler that this solver has no use for may be given at their defaults; ValueError for others.
        """
        for name, value in unused.items():
            if name not in UNUSED or value != UNUSED[name]:
                raise ValueError(f"DPMSolverSampler takes no {name} = {value!r}")
        for rows in (*batch_sizes(conditioning), *batch_sizes(unconditional_conditioning)):
            if rows != batch_size:
                raise ValueError(f"a condition is for {rows} samples, but batch_size is {batch_size}")
        device = self.model.betas.device
        start = self.model.betas.new_empty((batch_size, *shape))
        x = standard_normal(start, generator) if x_T is None else x_T
        grid = self._grid(S)
        last = float(((1.0 - grid.alpha_bar_prev[-1]) / grid.alpha_bar_prev[-1]).sqrt())
        run = dpmpp_2m(x, grid, noise=lambda: x, last_sigma=last, last_first_order=S < FEW)

        def predict(model_input: ModelInput) -> Prediction:
            t, alpha_bar = model_input.t.to(device).expand(batch_size), grid.alpha_bar[model_input.step].to(device)
            scale, uncond = unconditional_guidance_scale, unconditional_conditioning
            return self._estimate(model_input.x, conditioning, t, alpha_bar, scale, uncond)

        return drive(run, predict), None

    def _grid(self, steps: int) -> TimestepGrid:
        """S + 1 timesteps from T − 1 to 0; the last is where the solver ends."""
        last = self.model.schedule.num_timesteps - 1
        if not 1 <= steps <= last:
            raise ValueError(f"steps must lie in 1…{last}, not {steps}")
        t = np.linspace(last, 0.0, steps + 1)
        log_alpha_bar = np.interp(t, np.arange(last + 1), np.log(self.model.schedule.alphas_cumprod))
        alpha_bar = torch.from_numpy(np.exp(log_alpha_bar)).float()
        return TimestepGrid(torch.from_numpy(t[:-1]).float(), alpha_bar[:-1], alpha_bar[1:], torch.zeros(steps))


UNUSED: dict[str, Any] = {
    "callback": None,
    "normals_sequence": None,
    "img_callback": None,
    "quantize_x0": False,
    "eta": 0.0,
    "mask": None,
    "x0": None,
    "temperature": 1.0,
    "noise_dropout": 0.0,
    "score_corrector": None,
    "corrector_kwargs": None,
    "verbose": True,
    "log_every_t": 100,
}
