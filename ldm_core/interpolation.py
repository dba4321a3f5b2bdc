"""Pictures on the way from one prompt and seed to another."""

from __future__ import annotations

from dataclasses import replace

import torch

from ldm_core.diffusion.inversion import lerp
from ldm_core.diffusion.sample_loop import Run, sample_loop, start_row
from ldm_core.pipeline import Pipeline
from ldm_core.sampling import SamplingParams


def interpolate(pipe: Pipeline, start: SamplingParams, end_prompt: str, end_seed: int, frames: int) -> Run:
    """A run of `frames` pictures as one batch: contexts go along the line, noises along the great circle (slerp).

    Frame 0 is the picture of `start`. The last is that of the other prompt and seed, unless the sampler draws noise on
    its way: those draws are the first seed's in every frame. Raises ValueError as Pipeline.stream does.
    """
    if frames < 1:
        raise ValueError(f"frames must be at least 1, not {frames}")
    if start.variation_strength:
        raise ValueError("a picture that is a variation cannot be the start: its noise lies on another way already")
    start = pipe.resolved(replace(start, batch=1))
    end = replace(start, prompt=end_prompt, seed=end_seed)
    for ends in (start, end):
        ends.check(pipe.limits)
    a, b = pipe.condition(start), pipe.condition(end)
    shape = pipe.config.latent_shape(start.height, start.width)
    grid, rows = pipe.schedule.grid(start.timestep_spacing, start.steps, start.eta), []
    for weight in torch.linspace(0.0, 1.0, frames).tolist():
        between = replace(a, context=lerp(a.context, b.context, weight)) if a.context.is_floating_point() else a
        rows.append(start_row(replace(start, variation_seed=end_seed, variation_strength=weight), grid, between, shape))
    return sample_loop(pipe.denoise, rows)
