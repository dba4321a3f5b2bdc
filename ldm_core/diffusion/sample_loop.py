"""Pictures of a half-trained model, a few prompts at once."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor

from ldm_core.config import Parameterization
from ldm_core.diffusion.denoiser import ApplyModel, Conditioning, Denoiser, ModelInput
from ldm_core.diffusion.samplers import SAMPLERS, advance
from ldm_core.diffusion.schedule import NoiseSchedule


def sample_latents(
    apply_model: ApplyModel,
    schedule: NoiseSchedule,
    parameterization: Parameterization,
    contexts: Tensor,
    empty: Tensor,
    shape: Sequence[int],
    steps: int = 25,
    guidance_scale: float = 5.0,
    seed: int = 7,
    sampler: str = "ddim",
) -> Tensor:
    """Contexts [B,L,D] and the empty prompt's [1,L,D] → latents [B,*shape]; picture i has seed `seed + i`."""
    denoiser = Denoiser(apply_model, schedule, parameterization, device=contexts.device)
    grid = schedule.grid("uniform", steps)
    noises = [
        partial(torch.randn, tuple(shape), generator=torch.Generator().manual_seed(seed + i))
        for i in range(len(contexts))
    ]
    runs = [SAMPLERS[sampler](noise(), grid, noise=noise) for noise in noises]
    conditionings = [Conditioning(c, empty[0], guidance_scale) for c in contexts]
    found: list[ModelInput] | Tensor = [next(run) for run in runs]
    while not isinstance(found, Tensor):
        found = advance(runs, denoiser(found, conditionings))
    return found
