"""A kept generation looked at: any of its steps, what guidance mixed there, and two of them compared."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from app.engine import Stepped
from app.i18n import say
from app.labs.common.plot import Axis, Mark, Plot, Series, Values
from app.labs.common.trajectory import ETAS, StepRecord, Trajectory, fork
from app.schemas import RequestError
from ldm_core.diffusion.gaussian import to_eps_x0
from ldm_core.images import Pixels
from ldm_core.sampling import SamplingParams

if TYPE_CHECKING:
    from ldm_core.pipeline import Pipeline

Floats = NDArray[np.floating]
DONE = Stepped(1, 1, 0.0, 0.0, None)


@dataclass(frozen=True, eq=False)
class Seen:
    """A step decoded, uint8 [H,W,3] each; change [H,W] in [0,1] is x̂₀'s since the step before (0 in the first)."""

    x: Pixels
    x0: Pixels
    eps: Pixels
    change: Floats


@dataclass(frozen=True, eq=False)
class Anatomy:
    """x̂₀ of either term and of their mix decoded, uint8 [H,W,3]; norm [h,w] of ε_c − ε_u over the channels."""

    uncond: Pixels
    cond: Pixels
    mixed: Pixels
    norm: Floats


@dataclass(frozen=True, eq=False)
class Forked:
    """Trunk and branch, and their pictures uint8 [H,W,3]."""

    trunk: Trajectory
    branch: Trajectory
    k: int
    pictures: tuple[Pixels, Pixels]


def seen(pipe: Pipeline, trajectory: Trajectory, i: int) -> Generator[Stepped, None, Seen]:
    """Decode step i (from 1) of a kept trajectory; the UNet is not asked."""
    here, before = trajectory.steps[i - 1], trajectory.steps[max(i - 2, 0)]
    yield DONE
    latents = [here.x, here.prediction.x0, here.prediction.eps, before.prediction.x0]
    x, x0, eps, earlier = pipe.decode(torch.stack(latents))
    return Seen(x, x0, eps, difference(x0, earlier))


def difference(a: Pixels, b: Pixels) -> Floats:
    """Mean absolute difference of a pixel's channels, [H,W] in [0,1]."""
    return np.asarray(np.abs(a.astype(np.float64) - b).mean(axis=2) / 255)


def latents(trajectory: Trajectory, i: int) -> dict[str, Floats]:
    """x, x̂₀, ε of step i (from 1) and what x changed by since the step before, [C,h,w] each."""
    here = trajectory.steps[i - 1]
    before = trajectory.steps[max(i - 2, 0)]
    tensors = {"x": here.x, "x0": here.prediction.x0, "eps": here.prediction.eps, "change": here.x - before.x}
    return {name: value.numpy() for name, value in tensors.items()}


def anatomy(pipe: Pipeline, trajectory: Trajectory, i: int) -> Generator[Stepped, None, Anatomy]:
    """What guidance mixed in step i (from 1). RequestError at scale 1, where there was nothing to mix."""
    here = trajectory.steps[i - 1]
    if here.uncond is None:
        raise RequestError("fault_no_guidance")
    x0 = _estimates(here, trajectory.grid.alpha_bar[i - 1])
    yield DONE
    uncond, cond, mixed = pipe.decode(torch.stack([*x0, here.prediction.x0]))
    return Anatomy(uncond, cond, mixed, (here.cond - here.uncond).norm(dim=0).numpy())


def compare_fork(pipe: Pipeline, trunk: Trajectory, k: int, params: SamplingParams) -> Generator[Stepped, None, Forked]:
    """app.labs.common.trajectory.fork with both pictures."""
    branch = yield from fork(pipe, trunk, k, params)
    a, b = pipe.decode(torch.stack([trunk.final, branch.final]))
    return Forked(trunk, branch, k, (a, b))


def rms(value: Tensor) -> float:
    """Root of the mean square over all elements."""
    return float(value.square().mean().sqrt())


def _steps(n: int) -> Values:
    return np.arange(1, n + 1, dtype=np.float64)


def change_plot(trajectory: Trajectory, i: int, lang: str) -> Plot:
    """How far x and x̂₀ moved since the step before, over the steps; the cursor stands at step i."""
    steps = trajectory.steps
    pairs = list(zip(steps[1:], steps[:-1], strict=True))
    x = np.array([rms(b.x - a.x) for b, a in pairs])
    x0 = np.array([rms(b.prediction.x0 - a.prediction.x0) for b, a in pairs])
    places = _steps(len(steps))[1:]
    summary = ""
    if len(x0):
        summary = say(lang, "scrub_summary", i=int(places[x0.argmax()]), most=f"{x0.max():.3g}")
    return Plot(
        title=say(lang, "scrub_plot"),
        x=Axis(say(lang, "axis_step")),
        y=Axis("RMS"),
        series=(Series("x_t", places, x, 0), Series("x̂₀", places, x0, 1)),
        marks=(Mark(float(i), f"t = {steps[i - 1].t:.0f}"),),
        summary=summary,
        formula=r"x_{t-1} = \sqrt{\bar\alpha_{t-1}}\,\hat x_0 + \sqrt{1-\bar\alpha_{t-1}-\sigma^2}\,\epsilon+\sigma z",
        source="ldm_core.diffusion.samplers.ddim.ddim_update",
    )


def anatomy_plot(trajectory: Trajectory, i: int, lang: str) -> Plot:
    """RMS of both terms, and of their difference in ε and in x̂₀, over the steps."""
    pairs = [(m.uncond, m.cond) for m in trajectory.steps if m.uncond is not None]
    estimates = [_estimates(m, a) for m, a in zip(trajectory.steps, trajectory.grid.alpha_bar, strict=True)]
    values = {
        "term_uncond": [rms(u) for u, _ in pairs],
        "term_cond": [rms(c) for _, c in pairs],
        "term_difference": [rms(c - u) for u, c in pairs],
        "estimate_difference": [rms(c - u) for u, c in estimates],
    }
    places = _steps(len(pairs))
    series = tuple(Series(say(lang, key), places, np.array(v), k) for k, (key, v) in enumerate(values.items()))
    apart = values["estimate_difference"]
    numbers = {"i": int(np.argmax(apart)) + 1, "n": len(apart), "most": f"{max(apart):.3g}", "last": f"{apart[-1]:.3g}"}
    return Plot(
        title=say(lang, "anatomy_plot"),
        x=Axis(say(lang, "axis_step")),
        y=Axis("RMS", log=True),
        series=series,
        marks=(Mark(float(i), f"t = {trajectory.steps[i - 1].t:.0f}"),),
        summary=say(lang, "anatomy_summary", **numbers),
        formula=r"\epsilon = \epsilon_u + s\,(\epsilon_c - \epsilon_u),\quad "
        r"\hat x_{0,c} - \hat x_{0,u} = -\sqrt{(1-\bar\alpha)/\bar\alpha}\,(\epsilon_c - \epsilon_u)",
        source="ldm_core.diffusion.gaussian.to_eps_x0",
    )


def _estimates(step: StepRecord, alpha_bar: Tensor) -> list[Tensor]:
    """x̂₀ of either term of a guided step, that without the prompt first."""
    assert step.uncond is not None
    return [to_eps_x0("eps", eps, step.x, alpha_bar).x0 for eps in (step.uncond, step.cond)]


def apart_plot(trajectories: Sequence[Trajectory], lang: str) -> Plot:
    """How far x̂₀ of each later trajectory is from the first one's, over the steps; they are those of ETAS."""
    first = trajectories[0].steps
    places = _steps(len(first))
    series = tuple(
        Series(
            f"η = {ETAS[k]:g}",
            places,
            np.array([rms(b.prediction.x0 - a.prediction.x0) for a, b in zip(first, trajectory.steps, strict=True)]),
            k,
        )
        for k, trajectory in enumerate(trajectories)
        if k
    )
    return Plot(
        title=say(lang, "etas_plot"),
        x=Axis(say(lang, "axis_step")),
        y=Axis("RMS"),
        series=series,
        summary=say(lang, "etas_summary", last=f"{series[-1].y[-1]:.3g}"),
        formula=r"\sigma_i = \eta \sqrt{(1-\bar\alpha_{i-1})(1-\bar\alpha_i/\bar\alpha_{i-1})/(1-\bar\alpha_i)}",
        source="ldm_core.diffusion.schedule.NoiseSchedule.grid",
    )


def fork_plot(made: Forked, lang: str) -> Plot:
    """How far the branch is from the trunk, in x and in x̂₀, over the steps; the mark is the fork."""
    pairs = list(zip(made.trunk.steps, made.branch.steps, strict=True))
    places = _steps(len(pairs))
    x = np.array([rms(b.x - a.x) for a, b in pairs])
    x0 = np.array([rms(b.prediction.x0 - a.prediction.x0) for a, b in pairs])
    end = rms(made.branch.final - made.trunk.final)
    return Plot(
        title=say(lang, "fork_plot"),
        x=Axis(say(lang, "axis_step")),
        y=Axis("RMS"),
        series=(Series("x_t", places, x, 0), Series("x̂₀", places, x0, 1)),
        marks=(Mark(float(made.k), f"k = {made.k}"),),
        summary=say(lang, "fork_summary", k=made.k, end=f"{end:.3g}"),
        source="app.labs.common.trajectory.fork",
    )
