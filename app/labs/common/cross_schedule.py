"""The loaded model on schedules it was not trained on: every noise level at the trained t that has it."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from app.engine import Stepped
from app.i18n import say
from app.labs.common.plot import Axis, Plot, Series
from app.labs.common.runs import follow_run
from app.labs.common.schedules import GRIDS, KINDS, make_schedules
from ldm_core.diffusion.sample_loop import Run, sample_loop, start_row
from ldm_core.diffusion.schedule import NoiseSchedule, TimestepGrid, make_ddim_timesteps
from ldm_core.images import Pixels
from ldm_core.sampling import SamplingParams

if TYPE_CHECKING:
    from ldm_core.pipeline import Pipeline


@dataclass(frozen=True, eq=False)
class CrossScheduleResult:
    """One picture [H,W,3] a schedule, and the trained timesteps each of them asked for."""

    pictures: Mapping[str, Pixels]
    timesteps: Mapping[str, NDArray[np.float64]]


def cross_schedule_grid(trained: NoiseSchedule, walked: NoiseSchedule, steps: int, eta: float = 0.0) -> TimestepGrid:
    """`steps` uniform timesteps of `walked`, each asked for at the fractional trained t of the same noise level.

    Noise levels outside the trained range are clipped to its ends: the network knows nothing beyond them. σ is DDIM's
    for this eta (Song et al. 2021, eq. 16).
    """
    a = walked.alphas_cumprod[make_ddim_timesteps("uniform", steps, walked.num_timesteps)]
    low, high = trained.alphas_cumprod[-1], trained.alphas_cumprod[0]
    a = np.clip(a, low, high)
    t = trained.t_at_sigma(np.sqrt((1.0 - a) / a))
    prev = np.append(high, a[:-1])
    sigma = eta * np.sqrt(np.maximum((1.0 - prev) / (1.0 - a) * (1.0 - a / prev), 0.0))
    values = (t, a, prev, sigma)
    return TimestepGrid(*(torch.from_numpy(v[::-1].astype(np.float32)) for v in values))


def sample_on_schedules(
    pipe: Pipeline, params: SamplingParams, schedules: Mapping[str, NoiseSchedule]
) -> Generator[Stepped, None, CrossScheduleResult]:
    """The same request by DDIM (η = 0) on each schedule, all of them in one batch a step."""
    grids = {kind: cross_schedule_grid(pipe.schedule, s, params.steps) for kind, s in schedules.items()}
    conditioning, shape = pipe.condition(params), pipe.config.latent_shape()
    rows = [start_row(params, grid, conditioning, shape) for grid in grids.values()]
    pictures = pipe.decode((yield from follow_run(sample_loop(pipe.denoise, rows))))
    return CrossScheduleResult(
        dict(zip(grids, pictures, strict=True)), {kind: g.t.double().numpy() for kind, g in grids.items()}
    )


def sample_on_schedule(pipe: Pipeline, params: SamplingParams, schedule: str) -> Generator[Stepped, None, Pixels]:
    """The request's picture, uint8 [H,W,3], on a step grid (one of GRIDS) or another noise schedule (one of KINDS).

    A step grid is taken by the request's sampler, another noise schedule by DDIM.
    """
    return pipe.decode((yield from follow_run(_run(pipe, params, schedule))))[0]


def _run(pipe: Pipeline, params: SamplingParams, schedule: str) -> Run:
    if schedule in GRIDS:
        return pipe.stream(params, timestep_spacing=schedule)
    c = pipe.config.schedule
    walked = make_schedules([schedule], c.timesteps, c.linear_start, c.linear_end, c.cosine_s)[schedule]
    grid = cross_schedule_grid(pipe.schedule, walked, params.steps, params.eta)
    shape = pipe.config.latent_shape(params.height, params.width)
    return sample_loop(pipe.denoise, [start_row(params, grid, pipe.condition(params), shape)])


def timesteps_plot(result: CrossScheduleResult, lang: str) -> Plot:
    """Where on the trained schedule each walk asked."""
    series = tuple(
        Series(say(lang, f"schedule_{kind}"), np.arange(1, len(t) + 1, dtype=float), t, KINDS.index(kind))
        for kind, t in result.timesteps.items()
    )
    return Plot(
        title=say(lang, "respaced_plot"),
        x=Axis(say(lang, "axis_step")),
        y=Axis(say(lang, "axis_t")),
        series=series,
        formula=r"t^\ast = t:\ \sigma_{\mathrm{trained}}(t^\ast) = \sigma_{\mathrm{walked}}(\tau_i)",
        source="ldm_core.diffusion.schedule.NoiseSchedule.t_at_sigma",
    )
