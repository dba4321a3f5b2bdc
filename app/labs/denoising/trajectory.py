"""A generation kept step by step: walked by DDIM, forked at any step, and walked at several eta over the same noise."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from app.engine import Stepped
from app.schemas import RequestError
from ldm_core.devices import memory_guard
from ldm_core.diffusion.denoiser import ApplyModel, Conditioning, Denoiser, ModelInput, Prediction, to_eps_x0
from ldm_core.diffusion.samplers import SamplerCoroutine, advance, ddim
from ldm_core.diffusion.schedule import TimestepGrid
from ldm_core.images import Pixels

if TYPE_CHECKING:
    from ldm_core.pipeline import Pipeline

ETAS = (0.0, 0.25, 0.5, 0.75, 1.0)
FRAMES = 6  # of a film strip


@dataclass(frozen=True)
class Recipe:
    """What a generation is made from; the sampler is DDIM on the uniform grid."""

    prompt: str
    steps: int = 20
    guidance_scale: float = 5.0
    eta: float = 0.0
    seed: int = 7


@dataclass(frozen=True, eq=False)
class StepRecord:
    """One question and its answer, fp32 [C,h,w]; uncond and cond are the eps that guidance mixed.

    uncond is None at guidance scale 1, where the network is not asked for it.
    """

    t: float
    x: Tensor
    answer: Prediction
    uncond: Tensor | None
    cond: Tensor


@dataclass(frozen=True, eq=False)
class Walk:
    """Every moment of a generation and the latent [C,h,w] it ends at."""

    recipe: Recipe
    grid: TimestepGrid
    moments: tuple[StepRecord, ...]
    final: Tensor


@dataclass(frozen=True, eq=False)
class Filmed:
    """A walk, some of its estimates x̂₀ decoded (step counted from 1 → uint8 [H,W,3]), and the picture."""

    walk: Walk
    frames: dict[int, Pixels]
    picture: Pixels


def walked(pipe: Pipeline, recipe: Recipe) -> Generator[Stepped, None, Walk]:
    """Walk a recipe, keeping everything; the final latent is Pipeline.stream's."""
    grid = pipe.model.schedule.grid("uniform", recipe.steps, recipe.eta)
    walks = yield from _walk(pipe, [(recipe, grid, ())])
    return walks[0]


def filmed(pipe: Pipeline, recipe: Recipe) -> Generator[Stepped, None, Filmed]:
    """The same, with a film strip of x̂₀."""
    walk = yield from walked(pipe, recipe)
    n = recipe.steps
    kept = sorted({round(i) for i in np.linspace(0, n - 1, min(n, FRAMES))})
    *frames, picture = pipe.decode(torch.stack([*(walk.moments[i].answer.x0 for i in kept), walk.final]))
    return Filmed(walk, {i + 1: frame for i, frame in zip(kept, frames, strict=True)}, picture)


def forked(pipe: Pipeline, trunk: Walk, k: int, recipe: Recipe) -> Generator[Stepped, None, Walk]:
    """Leave the trunk before its step k in 1…n and go on by another recipe, over the same noise.

    Coroutines cannot be copied: a new one is sent the first k − 1 answers of the trunk, then asks for itself. Seed and
    number of steps are the trunk's. Raises RequestError for a k outside.
    """
    n = trunk.recipe.steps
    if not 1 <= k <= n:
        raise RequestError("fault_fork", k=k, n=n)
    recipe = replace(recipe, seed=trunk.recipe.seed, steps=n)
    new = pipe.model.schedule.grid("uniform", n, recipe.eta)
    sigma = torch.cat([trunk.grid.sigma[: k - 1], new.sigma[k - 1 :]])  # what lies behind the fork stays as it was
    walks = yield from _walk(pipe, [(recipe, replace(new, sigma=sigma), trunk.moments[: k - 1])])
    return walks[0]


def at_etas(pipe: Pipeline, recipe: Recipe) -> Generator[Stepped, None, tuple[list[Walk], Pixels]]:
    """The recipe at each of ETAS with the same seed, so the same noise is drawn; and the pictures uint8 [5,H,W,3]."""
    schedule = pipe.model.schedule
    branches = [(replace(recipe, eta=eta), schedule.grid("uniform", recipe.steps, eta), ()) for eta in ETAS]
    walks = yield from _walk(pipe, branches)
    return walks, pipe.decode(torch.stack([walk.final for walk in walks]))


class _Listening:
    """The network, with its last output within reach: Denoiser shows only what guidance made of it."""

    def __init__(self, apply_model: ApplyModel) -> None:
        self._apply_model = apply_model
        self.out = torch.zeros(0)

    def __call__(self, x: Tensor, t: Tensor, context: Tensor) -> Tensor:
        self.out = self._apply_model(x, t, context)
        return self.out


Branch = tuple[Recipe, TimestepGrid, Sequence[StepRecord]]


def _walk(pipe: Pipeline, branches: Sequence[Branch]) -> Generator[Stepped, None, list[Walk]]:
    """All branches, as long as each other and replayed as far, in one batch a step."""
    listening = _Listening(pipe.model.apply_model)
    denoise = Denoiser(listening, pipe.model.schedule, pipe.config.parameterization, pipe.device)
    conds = [
        Conditioning(pipe.encode_prompt(r.prompt), pipe.encode_prompt(""), r.guidance_scale) for r, _, _ in branches
    ]
    begun = [_begin(pipe, branch) for branch in branches]
    trajectories = [b[0] for b in begun]
    found: list[ModelInput] | Tensor = [b[1] for b in begun]
    moments = [list(replayed) for _, _, replayed in branches]
    n = len(branches[0][1])
    while not isinstance(found, Tensor):
        with memory_guard("denoising"):
            answers = denoise(found, conds)
        out, row = listening.out.float().cpu(), 0
        for k, (query, answer, cond) in enumerate(zip(found, answers, conds, strict=True)):
            rows = len(cond.terms)
            moments[k].append(_moment(pipe, query, answer, out[row : row + rows]))
            row += rows
        yield Stepped(len(moments[0]), n, moments[0][-1].t, 0.0, None)
        found = advance(trajectories, answers)
    return [
        Walk(recipe, grid, tuple(kept), final)
        for (recipe, grid, _), kept, final in zip(branches, moments, found, strict=True)
    ]


def _begin(pipe: Pipeline, branch: Branch) -> tuple[SamplerCoroutine, ModelInput]:
    """A new coroutine after the replayed answers, and its first question of its own."""
    recipe, grid, replayed = branch
    shape, generator = pipe.config.latent_shape(), torch.Generator().manual_seed(recipe.seed)

    def noise() -> Tensor:
        return torch.randn(shape, generator=generator)

    trajectory = ddim(noise(), grid, noise=noise)
    query = next(trajectory)
    for moment in replayed:
        query = trajectory.send(moment.answer)
    return trajectory, query


def _moment(pipe: Pipeline, query: ModelInput, answer: Prediction, out: Tensor) -> StepRecord:
    """out [1 or 2,C,h,w]: the network's rows for this question, the unconditional one first."""
    a = pipe.model.schedule.alpha_bar_at(query.t)
    eps = [to_eps_x0(pipe.config.parameterization, row, query.x, a).eps for row in out]
    return StepRecord(float(query.t), query.x, answer, eps[0] if len(eps) == 2 else None, eps[-1])
