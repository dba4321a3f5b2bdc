"""Pictures of a half-trained model: DDIM over a few prompts at once."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ldm_core.config import Parameterization
from ldm_core.diffusion.denoiser import Answer, ApplyModel, Conditioning, Denoiser
from ldm_core.diffusion.samplers import Trajectory, ddim
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
) -> Tensor:
    """Contexts [B,L,D] and the empty prompt's [1,L,D] → latents [B,*shape]; picture i has seed `seed + i`."""
    denoiser = Denoiser(apply_model, schedule, parameterization, device=contexts.device)
    grid = schedule.grid("uniform", steps)
    noises = [torch.Generator().manual_seed(seed + i) for i in range(len(contexts))]
    zero = torch.zeros(tuple(shape))
    runs = [ddim(torch.randn(tuple(shape), generator=g), grid, noise=lambda: zero) for g in noises]
    conditionings = [Conditioning(c, empty[0], guidance_scale) for c in contexts]
    queries = [next(r) for r in runs]
    for _ in range(len(grid) - 1):
        queries = [r.send(a) for r, a in zip(runs, denoiser(queries, conditionings), strict=True)]
    return torch.stack([_last(r, a) for r, a in zip(runs, denoiser(queries, conditionings), strict=True)])


def _last(run: Trajectory, answer: Answer) -> Tensor:
    try:
        run.send(answer)
    except StopIteration as end:
        return end.value
    raise RuntimeError("the sampler asked for more steps than its grid has")
