"""Pictures of a half-trained model, a few prompts at once."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor

from ldm_core.config import Parameterization
from ldm_core.diffusion.denoiser import Answer, ApplyModel, Conditioning, Denoiser, Query
from ldm_core.diffusion.samplers import SAMPLERS, Trajectory
from ldm_core.diffusion.schedule import Schedule


def sample_latents(
    apply_model: ApplyModel,
    schedule: Schedule,
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
    queries, finals = [next(run) for run in runs], list[Tensor]()
    while not finals:
        for k, answer in enumerate(denoiser(queries, conditionings)):
            match _send(runs[k], answer):
                case Query() as query:
                    queries[k] = query
                case final:
                    finals.append(final)
    return torch.stack(finals)


def _send(run: Trajectory, answer: Answer) -> Query | Tensor:
    """The next question, or what the run returns."""
    try:
        return run.send(answer)
    except StopIteration as end:
        final: Tensor = end.value
        return final
