"""A generation kept step by step: recorded as DDIM makes it, forked at any step, and made at several eta."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from app.engine import Stepped
from app.labs.common.runs import follow_run
from app.schemas import RequestError
from ldm_core.diffusion.denoiser import ApplyModel, Denoiser
from ldm_core.diffusion.gaussian import Prediction, to_eps_x0
from ldm_core.diffusion.sample_loop import Row, Step, sample_loop, start_row
from ldm_core.diffusion.schedule import TimestepGrid
from ldm_core.images import Pixels
from ldm_core.sampling import SamplingParams

if TYPE_CHECKING:
    from ldm_core.pipeline import Pipeline

ETAS = (0.0, 0.25, 0.5, 0.75, 1.0)
FRAMES = 6  # of a film strip


@dataclass(frozen=True, eq=False)
class StepRecord:
    """One x and the prediction for it, fp32 [C,h,w]; uncond and cond are the eps that guidance mixed.

    uncond is None at guidance scale 1, where the network does not compute it.
    """

    t: float
    x: Tensor
    prediction: Prediction
    uncond: Tensor | None
    cond: Tensor


@dataclass(frozen=True, eq=False)
class Trajectory:
    """Every step of a generation and the latent [C,h,w] it ends at."""

    params: SamplingParams
    grid: TimestepGrid
    steps: tuple[StepRecord, ...]
    final: Tensor


@dataclass(frozen=True, eq=False)
class Film:
    """A trajectory, some of its estimates x̂₀ decoded (step counted from 1 → uint8 [H,W,3]), and the picture."""

    trajectory: Trajectory
    frames: dict[int, Pixels]
    picture: Pixels


@dataclass(frozen=True, eq=False)
class Branch:
    """What to record: a request of DDIM on a grid, after the steps it shares with another trajectory."""

    params: SamplingParams
    grid: TimestepGrid
    replayed: tuple[StepRecord, ...] = ()


def record(pipe: Pipeline, params: SamplingParams) -> Generator[Stepped, None, Trajectory]:
    """Make a request's picture, keeping everything; the final latent is Pipeline.stream's."""
    (trajectory,) = yield from _record(pipe, [Branch(params, _grid(pipe, params))])
    return trajectory


def film(pipe: Pipeline, params: SamplingParams) -> Generator[Stepped, None, Film]:
    """The same, with a film strip of x̂₀."""
    trajectory = yield from record(pipe, params)
    n = params.steps
    kept = sorted({round(i) for i in np.linspace(0, n - 1, min(n, FRAMES))})
    latents = [*(trajectory.steps[i].prediction.x0 for i in kept), trajectory.final]
    *frames, picture = pipe.decode(torch.stack(latents))
    return Film(trajectory, {i + 1: frame for i, frame in zip(kept, frames, strict=True)}, picture)


def fork(pipe: Pipeline, trunk: Trajectory, k: int, params: SamplingParams) -> Generator[Stepped, None, Trajectory]:
    """Leave the trunk before its step k in 1…n and go on by another request, over the same noise.

    Coroutines cannot be copied: a new row is sent the first k − 1 predictions of the trunk, then goes on by itself.
    Seed and number of steps are the trunk's. Raises RequestError for a k outside.
    """
    n = trunk.params.steps
    if not 1 <= k <= n:
        raise RequestError("fault_fork", k=k, n=n)
    params = replace(params, seed=trunk.params.seed, steps=n)
    grid = _grid(pipe, params)
    sigma = torch.cat([trunk.grid.sigma[: k - 1], grid.sigma[k - 1 :]])  # what lies behind the fork stays as it was
    (branch,) = yield from _record(pipe, [Branch(params, replace(grid, sigma=sigma), trunk.steps[: k - 1])])
    return branch


def record_etas(pipe: Pipeline, params: SamplingParams) -> Generator[Stepped, None, tuple[list[Trajectory], Pixels]]:
    """The request at each of ETAS with the same seed, so the same noise is drawn; and the pictures uint8 [5,H,W,3]."""
    varied = [replace(params, eta=eta) for eta in ETAS]
    trajectories = yield from _record(pipe, [Branch(each, _grid(pipe, each)) for each in varied])
    return trajectories, pipe.decode(torch.stack([trajectory.final for trajectory in trajectories]))


def _grid(pipe: Pipeline, params: SamplingParams) -> TimestepGrid:
    return pipe.schedule.grid(params.timestep_spacing, params.steps, params.eta)


class _KeepOutput:
    """The network, with its last output within reach: Denoiser shows only what guidance made of it."""

    def __init__(self, apply_model: ApplyModel) -> None:
        self._apply_model = apply_model
        self.out = torch.zeros(0)

    def __call__(self, x: Tensor, t: Tensor, context: Tensor) -> Tensor:
        self.out = self._apply_model(x, t, context)
        return self.out


def _record(pipe: Pipeline, branches: Sequence[Branch]) -> Generator[Stepped, None, list[Trajectory]]:
    """All branches, as long as each other and replayed as far, in one batch a step."""
    network = _KeepOutput(pipe.denoise.apply_model)
    denoise = Denoiser(network, pipe.schedule, pipe.config.parameterization, pipe.device)
    rows = [_start(pipe, branch) for branch in branches]
    kept = [list(branch.replayed) for branch in branches]

    def keep(step: Step) -> None:
        terms = iter(network.out.float().cpu())
        for k, row in enumerate(rows):
            out = [next(terms) for _ in row.conditioning.terms]
            kept[k].append(_record_step(pipe, step, k, out))

    finals = yield from follow_run(sample_loop(denoise, rows), keep)
    return [
        Trajectory(branch.params, branch.grid, tuple(steps), final)
        for branch, steps, final in zip(branches, kept, finals, strict=True)
    ]


def _start(pipe: Pipeline, branch: Branch) -> Row:
    row = start_row(branch.params, branch.grid, pipe.condition(branch.params), pipe.config.latent_shape())
    for step in branch.replayed:
        row.send(step.prediction)
    return row


def _record_step(pipe: Pipeline, step: Step, k: int, out: Sequence[Tensor]) -> StepRecord:
    """Row k of a tick; `out` holds the network's 1 or 2 outputs [C,h,w] for it, the unconditional one first."""
    a = pipe.schedule.alpha_bar_at(torch.tensor(step.t))
    eps = [to_eps_x0(pipe.config.parameterization, term, step.x[k], a).eps for term in out]
    prediction = Prediction(step.eps[k], step.x0[k])
    return StepRecord(step.t, step.x[k], prediction, eps[0] if len(eps) == 2 else None, eps[-1])
