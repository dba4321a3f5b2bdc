"""Pictures on the way from one prompt and seed to another."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import torch

from ldm_core.diffusion.inversion import lerp, slerp
from ldm_core.diffusion.samplers import SAMPLERS
from ldm_core.pipeline import Pipeline, Run, check_seeds, unchanged


def interpolate(
    pipe: Pipeline,
    prompts: tuple[str, str],
    seeds: tuple[int, int],
    frames: int,
    negative_prompt: str = "",
    steps: int = 25,
    guidance_scale: float = 5.0,
    sampler: str = "ddim",
    height: int | None = None,
    width: int | None = None,
) -> Run:
    """A stream of `frames` pictures as one batch: contexts go along the line, noises along the great circle (slerp).

    Frame 0 is the picture of the first prompt and seed. The last is that of the second, unless the sampler draws noise
    on its way: those draws are the first seed's in every frame. Raises ValueError as Pipeline.stream does.
    """
    shape = pipe.config.latent_shape(height, width)
    pipe.check(steps, 0.0, guidance_scale, sampler, frames, 1.0, None, None)
    check_seeds(*seeds)
    start, end = (pipe.condition(prompt, negative_prompt, guidance_scale) for prompt in prompts)
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    a, b = (torch.randn(shape, generator=g) for g in generators)
    path, state = pipe.model.schedule.grid("uniform", steps), generators[0].get_state()
    trajectories, conditions = [], []
    for w in torch.linspace(0.0, 1.0, frames).tolist():
        noise = partial(torch.randn, shape, generator=torch.Generator().set_state(state))
        trajectories.append(SAMPLERS[sampler](slerp(a, b, w), path, noise=noise))
        conditions.append(replace(start, context=lerp(start.context, end.context, w)))
    return pipe.drive(trajectories, [unchanged] * frames, conditions, len(path))
