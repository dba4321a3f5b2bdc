"""The Losses lab's plots: curves of runs, loss by timestep, and what the discriminator and its weight do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np
import torch

from app.i18n import say
from app.labs.common.plot import COLOURS, Axis, Heat, Mark, Plot, Series, Values
from app.labs.losses.runs import BIN, Curve, Run, smoothed
from app.schemas import RequestError
from ldm_core.losses.diffusion import BINS
from ldm_core.losses.gan import adaptive_weight, adopt_weight, hinge_d_loss, vanilla_d_loss

PLAYERS = {"hinge": hinge_d_loss, "vanilla": vanilla_d_loss}
LOGITS = np.linspace(-3.0, 3.0, 121)
GRADIENTS = np.logspace(-8.0, 3.0, 67)  # ‖∇g‖
NLL_GRADIENTS = (0.01, 0.1, 100.0)  # ‖∇nll‖: the last alone reaches the ceiling
PROFILES = 5  # validations drawn side by side


def curves_plot(
    runs: Mapping[str, Run], metrics: Sequence[str], over: str, smoothing: float, log: bool, lang: str
) -> Plot:
    """Every chosen metric of every chosen run over its steps or minutes; smoothed by `runs.smoothed`."""
    if not runs or not metrics:
        raise RequestError("fault_no_curve")
    found = [(name, metric, run[metric]) for name, run in runs.items() for metric in metrics if metric in run]
    if not found:
        raise RequestError("fault_no_metric", metrics=", ".join(metrics), runs=", ".join(runs))
    if len(found) > len(COLOURS):
        raise RequestError("fault_many_curves", count=len(found), most=len(COLOURS))
    series, said = [], []
    for style, (name, metric, curve) in enumerate(found):
        label = _label(name, metric, runs, metrics)
        y = smoothed(curve.values, smoothing)
        said.append(say(lang, "curve_went", name=label, first=f"{y[0]:.4g}", last=f"{y[-1]:.4g}"))
        if log:
            y = np.where(y > 0, y, np.nan)
        series.append(Series(label, _places(curve, over), y, style, "line" if len(y) > 1 else "dots"))
    return Plot(
        title=say(lang, "curves_of_runs"),
        x=Axis(say(lang, f"over_{over}")),
        y=Axis(metrics[0] if len(metrics) == 1 else say(lang, "axis_value"), log),
        series=tuple(series),
        summary=say(lang, "joint").join(said) + say(lang, "stop_mark"),
        formula=r"s_i = \lambda s_{i-1} + (1-\lambda) y_i,\quad \hat s_i = s_i / (1-\lambda^i),\quad \lambda = "
        f"{smoothing:g}",
        source="app.labs.losses.runs.smoothed",
    )


def _label(name: str, metric: str, runs: Mapping[str, Run], metrics: Sequence[str]) -> str:
    if len(metrics) == 1:
        return name
    return metric if len(runs) == 1 else f"{name}: {metric}"


def _places(curve: Curve, over: str) -> Values:
    return curve.seconds / 60.0 if over == "minutes" else curve.steps


def bins_of(run: Run, name: str) -> tuple[Values, Values]:
    """(steps [n], loss [20,n]) by timestep; NaN where a bin was empty. RequestError where none was logged."""
    known = {i: run[f"{BIN}{i:02d}"] for i in range(BINS) if f"{BIN}{i:02d}" in run}
    if not known:
        raise RequestError("fault_no_bins", name=name)
    steps = np.unique(np.concatenate([curve.steps for curve in known.values()]))
    loss = np.full((BINS, len(steps)), np.nan)
    for i, curve in known.items():
        loss[i, np.searchsorted(steps, curve.steps)] = curve.values
    return steps, loss


def bins_plots(run: Run, name: str, log: bool, lang: str) -> tuple[Plot, Plot]:
    """The loss by timestep over training as a heat map, and some of its columns as curves."""
    steps, loss = bins_of(run, name)
    places = (np.arange(BINS) + 0.5) / BINS
    heat = Plot(
        title=say(lang, "bins_plot", name=name),
        x=Axis(say(lang, "over_step")),
        y=Axis(say(lang, "axis_t_share")),
        heat=Heat(steps, places, np.log10(loss) if log else loss, say(lang, "bins_log_label" if log else "bins_label")),
        summary=_bins_summary(steps, loss, places, lang),
        formula=r"L_k = \mathrm{mean}\,\|y - \hat y(x_t)\|^2,\quad k = \lfloor 20\,t/T \rfloor",
        source="ldm_core.losses.diffusion.bin_means",
    )
    shown = np.unique(np.linspace(0, len(steps) - 1, min(PROFILES, len(steps))).round().astype(int))
    profile = Plot(
        title=say(lang, "profile_plot", name=name),
        x=Axis(say(lang, "axis_t_share")),
        y=Axis(say(lang, "bins_label"), log),
        series=tuple(
            Series(say(lang, "at_step", step=f"{steps[i]:.0f}"), places, loss[:, i], style)
            for style, i in enumerate(shown)
        ),
        summary=say(lang, "profile_summary", most=f"{np.nanmax(loss[:, -1]) / np.nanmin(loss[:, -1]):.2g}"),
        source="ldm_core.losses.diffusion.bin_means",
    )
    return heat, profile


def _bins_summary(steps: Values, loss: Values, places: Values, lang: str) -> str:
    first, last = loss[:, 0], loss[:, -1]
    fall = 1.0 - last / first
    both = {"first": f"{steps[0]:.0f}", "last": f"{steps[-1]:.0f}"}
    if len(steps) < 2 or not np.isfinite(fall).any():
        return say(lang, "bins_once", step=both["last"])
    most, least = int(np.nanargmax(fall)), int(np.nanargmin(fall))
    return say(
        lang,
        "bins_summary",
        **both,
        mean=f"{1.0 - np.nanmean(last) / np.nanmean(first):.0%}",
        most=f"{fall[most]:.0%}",
        most_at=f"{places[most]:.3g}",
        least=f"{fall[least]:.0%}",
        least_at=f"{places[least]:.3g}",
    )


def player_terms(kind: str, logits: Values) -> tuple[Values, Values]:
    """What one logit costs the discriminator on a real and on a made picture: half of `kind`'s loss each, [n]."""
    loss, sure = PLAYERS[kind], torch.tensor(torch.inf)  # the other half is 0 where it is infinitely sure
    x = torch.from_numpy(logits)
    real = np.array([float(loss(v, -sure)) for v in x])
    fake = np.array([float(loss(sure, v)) for v in x])
    return real, fake


def players_plot(kinds: Sequence[str], logit: float, lang: str) -> Plot:
    """Hinge and vanilla losses over the discriminator's logit; the cursor stands at one."""
    if not kinds:
        raise RequestError("fault_no_player")
    series, said = [], []
    for kind in kinds:
        for k, (side, y) in enumerate(zip(("real", "fake"), player_terms(kind, LOGITS), strict=True)):
            name = say(lang, f"player_{kind}_{side}")
            series.append(Series(name, LOGITS, y, 2 * list(PLAYERS).index(kind) + k))
            at = player_terms(kind, np.array([logit]))[k][0]
            said.append(say(lang, "value_at", name=name, value=f"{at:.3g}"))
    values = say(lang, "joint").join(said)
    return Plot(
        title=say(lang, "players_plot"),
        x=Axis(say(lang, "axis_logit")),
        y=Axis(say(lang, "axis_cost"), range=(0.0, 2.1)),
        series=tuple(series),
        marks=(Mark(logit, f"D = {logit:g}"),),
        summary=say(lang, "players_summary", logit=f"{logit:g}", values=values),
        formula=r"\tfrac12\left(\mathrm{E}[\max(0, 1-D(x))] + \mathrm{E}[\max(0, 1+D(\hat x))]\right),\quad "
        r"\tfrac12\left(\mathrm{E}[\ln(1+e^{-D(x)})] + \mathrm{E}[\ln(1+e^{D(\hat x)})]\right)",
        source=", ".join(f"ldm_core.losses.gan.{PLAYERS[kind].__name__}" for kind in kinds),
    )


def adopt_plot(disc_start: int, disc_factor: float, lang: str) -> Plot:
    """disc_factor as `adopt_weight` lets it in, over twice the steps it waits."""
    if disc_start < 0:
        raise RequestError("fault_disc_start", start=disc_start)
    end = max(2 * disc_start, 100)
    steps = np.unique([*np.linspace(0, end, 201).round().astype(int), max(disc_start - 1, 0), disc_start])
    factor = np.array([adopt_weight(disc_factor, int(step), disc_start) for step in steps])
    return Plot(
        title=say(lang, "adopt_plot"),
        x=Axis(say(lang, "over_step")),
        y=Axis("disc_factor"),
        series=(Series("disc_factor", steps.astype(float), factor, 0, "steps"),),
        marks=(Mark(float(disc_start), f"disc_start = {disc_start}"),),
        summary=say(lang, "adopt_summary", start=disc_start, factor=f"{disc_factor:g}"),
        formula=r"L = L_{\mathrm{nll}} + w_{\mathrm{KL}}\,\mathrm{KL} + w_D\,\lambda\,f(\mathrm{step})\,L_g",
        source="ldm_core.losses.gan.adopt_weight",
    )


@lru_cache(maxsize=1)
def adaptive_weights() -> Mapping[float, Values]:
    """‖∇nll‖ → the adaptive weight for every ‖∇g‖ of GRADIENTS, asked with straight lines as losses."""
    layer = torch.ones((), dtype=torch.float64, requires_grad=True)
    return {
        nll: np.array([float(adaptive_weight(nll * layer, float(g) * layer, layer)) for g in GRADIENTS])
        for nll in NLL_GRADIENTS
    }


def adaptive_plot(lang: str) -> Plot:
    """The adaptive weight over the discriminator's gradient, for three gradients of the reconstruction."""
    return Plot(
        title=say(lang, "adaptive_plot"),
        x=Axis("‖∇g‖", log=True),
        y=Axis("λ", log=True),
        series=tuple(
            Series(f"‖∇nll‖ = {nll:g}", GRADIENTS, y, k) for k, (nll, y) in enumerate(adaptive_weights().items())
        ),
        summary=say(lang, "adaptive_summary"),
        formula=r"\lambda = \min\left(\frac{\|\nabla_L\,\mathrm{nll}\|}{\|\nabla_L\,g\| + 10^{-4}},\;10^4\right)",
        source="ldm_core.losses.gan.adaptive_weight",
    )
