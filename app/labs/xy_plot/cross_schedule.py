"""One picture walked on a sampling schedule that the Generate tab does not offer."""

from __future__ import annotations

import time
from collections.abc import Generator
from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from app.engine import Stepped
from app.labs.schedules.cross_schedule import respaced_grid
from app.labs.schedules.curves import make_schedules
from app.labs.xy_plot.xy_plot import GRIDS
from app.schemas import GenerateRequest
from ldm_core.diffusion.samplers import ddim
from ldm_core.diffusion.schedule import TimestepGrid
from ldm_core.images import Pixels
from ldm_core.pipeline import unchanged

if TYPE_CHECKING:
    from ldm_core.pipeline import Pipeline, Run


def scheduled(pipe: Pipeline, request: GenerateRequest, schedule: str) -> Generator[Stepped, None, Pixels]:
    """The request's picture, uint8 [H,W,3]; `schedule` is a name of app.labs.xy_plot.xy_plot.SCHEDULES.

    A step grid is walked by the request's sampler. Another noise schedule is walked by DDIM in uniform steps, each
    noise level asked for at the trained, fractional t that has it.
    """
    run, start = _run(pipe, request, schedule), time.monotonic()
    while True:
        try:
            step = next(run)
        except StopIteration as end:
            picture: Pixels = pipe.decode(end.value)[0]
            return picture
        yield Stepped(step.i, step.n, step.t, (time.monotonic() - start) / step.i * (step.n - step.i), None)


def noise_grid(pipe: Pipeline, schedule: str, steps: int, eta: float) -> TimestepGrid:
    """`steps` steps at the noise levels of another schedule, with DDIM's σ(η) (Song et al. 2021, eq. 16)."""
    c = pipe.config.schedule
    walked = make_schedules([schedule], c.timesteps, c.linear_start, c.linear_end, c.cosine_s)[schedule]
    grid = respaced_grid(pipe.model.schedule, walked, steps)
    a, prev = grid.alpha_bar.double(), grid.alpha_bar_prev.double()
    sigma = eta * ((1 - prev) / (1 - a) * (1 - a / prev)).clamp(min=0).sqrt()
    return replace(grid, sigma=sigma.float())


def _run(pipe: Pipeline, r: GenerateRequest, schedule: str) -> Run:
    if schedule in GRIDS:
        return pipe.stream(
            r.prompt, r.negative_prompt, r.steps, r.eta, r.guidance_scale, r.sampler, r.seed,
            height=r.height, width=r.width, grid=schedule,  # type: ignore[arg-type]
        )  # fmt: skip
    grid = noise_grid(pipe, schedule, r.steps, r.eta)
    shape = pipe.config.latent_shape(r.height, r.width)
    generator = torch.Generator().manual_seed(r.seed)

    def noise() -> torch.Tensor:
        return torch.randn(shape, generator=generator)

    walk = ddim(noise(), grid, noise=noise)
    return pipe.drive([walk], [unchanged], [pipe.condition(r.prompt, r.negative_prompt, r.guidance_scale)], len(grid))
