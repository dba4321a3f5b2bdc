"""One picture walked on a sampling schedule that the Generate tab does not offer."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from typing import TYPE_CHECKING

from app.engine import Stepped
from app.labs.common.runs import follow_run
from app.labs.schedules.cross_schedule import respaced_grid
from app.labs.schedules.curves import make_schedules
from app.labs.xy_plot.xy_plot import GRIDS
from ldm_core.diffusion.sample_loop import Run, sample_loop, start_row
from ldm_core.diffusion.schedule import TimestepGrid
from ldm_core.images import Pixels
from ldm_core.sampling import SamplingParams

if TYPE_CHECKING:
    from ldm_core.pipeline import Pipeline


def sample_on_schedule(pipe: Pipeline, params: SamplingParams, schedule: str) -> Generator[Stepped, None, Pixels]:
    """The request's picture, uint8 [H,W,3]; `schedule` is a name of app.labs.xy_plot.xy_plot.SCHEDULES.

    A step grid is walked by the request's sampler. Another noise schedule is walked by DDIM in uniform steps, each
    noise level asked for at the trained, fractional t that has it.
    """
    latents = yield from follow_run(_run(pipe, params, schedule))
    return pipe.decode(latents)[0]


def noise_grid(pipe: Pipeline, schedule: str, steps: int, eta: float) -> TimestepGrid:
    """`steps` steps at the noise levels of another schedule, with DDIM's σ(η) (Song et al. 2021, eq. 16)."""
    c = pipe.config.schedule
    walked = make_schedules([schedule], c.timesteps, c.linear_start, c.linear_end, c.cosine_s)[schedule]
    grid = respaced_grid(pipe.model.schedule, walked, steps)
    a, prev = grid.alpha_bar.double(), grid.alpha_bar_prev.double()
    sigma = eta * ((1 - prev) / (1 - a) * (1 - a / prev)).clamp(min=0).sqrt()
    return replace(grid, sigma=sigma.float())


def _run(pipe: Pipeline, params: SamplingParams, schedule: str) -> Run:
    if schedule in GRIDS:
        return pipe.stream(params, timestep_spacing=schedule)
    grid = noise_grid(pipe, schedule, params.steps, params.eta)
    shape = pipe.config.latent_shape(params.height, params.width)
    return sample_loop(pipe.denoise, [start_row(params, grid, pipe.condition(params), shape)])
