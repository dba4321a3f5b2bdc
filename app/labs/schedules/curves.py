"""The noise schedules, all that follows from them, and where samplers stop on them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from app.i18n import say
from app.labs.common.plot import Axis, Mark, Plot, Series, Values, crossing
from app.labs.common.schedules import GRIDS, KINDS
from app.schemas import RequestError
from ldm_core.diffusion.schedule import NoiseSchedule, make_ddim_timesteps


@dataclass(frozen=True)
class Quantity:
    """Something a schedule says about every t."""

    symbol: str
    formula: str
    source: str
    values: Callable[[NoiseSchedule], Values]
    log: bool = False
    range: tuple[float, float] | None = None


QUANTITIES: Mapping[str, Quantity] = {
    "beta": Quantity("β", r"\beta_t", "make_beta_schedule", lambda s: s.betas),
    "alpha": Quantity("α = 1 − β", r"\alpha_t = 1 - \beta_t", "NoiseSchedule.betas", lambda s: 1.0 - s.betas),
    "alpha_bar": Quantity(
        "ᾱ", r"\bar\alpha_t = \prod_{s \le t} (1 - \beta_s)", "NoiseSchedule.alphas_cumprod", lambda s: s.alphas_cumprod
    ),
    "signal": Quantity(
        "√ᾱ",
        r"x_t = \sqrt{\bar\alpha_t}\,x_0 + \dots",
        "NoiseSchedule.alphas_cumprod",
        lambda s: np.sqrt(s.alphas_cumprod),
    ),
    "noise": Quantity(
        "√(1−ᾱ)",
        r"x_t = \dots + \sqrt{1 - \bar\alpha_t}\,\epsilon",
        "NoiseSchedule.alphas_cumprod",
        lambda s: np.sqrt(1.0 - s.alphas_cumprod),
    ),
    "snr": Quantity(
        "SNR",
        r"\mathrm{SNR}(t) = \bar\alpha_t / (1 - \bar\alpha_t)",
        "NoiseSchedule.snr",
        lambda s: s.snr,
        log=True,
        range=(1e-5, 1e5),
    ),
    "posterior_variance": Quantity(
        "σ²",
        r"\sigma_t^2 = (1-v)\,\frac{1-\bar\alpha_{t-1}}{1-\bar\alpha_t}\beta_t + v\,\beta_t",
        "NoiseSchedule.posterior_variance",
        lambda s: s.posterior_variance,
        log=True,
        range=(1e-6, 1.0),
    ),
    "coef1": Quantity(
        "c₁",
        r"\tilde\mu_t = c_1 x_0 + c_2 x_t,\quad c_1 = \tfrac{\sqrt{\bar\alpha_{t-1}}\,\beta_t}{1-\bar\alpha_t}",
        'NoiseSchedule.buffers()["posterior_mean_coef1"]',
        lambda s: s.buffers()["posterior_mean_coef1"].double().numpy(),
    ),
    "coef2": Quantity(
        "c₂",
        r"\tilde\mu_t = c_1 x_0 + c_2 x_t,\quad c_2 = \tfrac{\sqrt{\alpha_t}\,(1-\bar\alpha_{t-1})}{1-\bar\alpha_t}",
        'NoiseSchedule.buffers()["posterior_mean_coef2"]',
        lambda s: s.buffers()["posterior_mean_coef2"].double().numpy(),
    ),
}


def compare(schedules: Mapping[str, NoiseSchedule], quantity: str, t: int, lang: str) -> Plot:
    """One quantity of several schedules over t; the cursor stands at t."""
    q = QUANTITIES[quantity]
    series = []
    for kind, s in schedules.items():
        y = q.values(s)
        if q.log:
            y = np.where(y > 0, y, np.nan)  # the first posterior variance is 0
        series.append(Series(say(lang, f"schedule_{kind}"), np.arange(len(y), dtype=float), y, KINDS.index(kind)))
    t = min(t, len(series[0].x) - 1)
    return Plot(
        title=f"{q.symbol}",
        x=Axis(say(lang, "axis_t")),
        y=Axis(q.symbol, q.log, q.range),
        series=tuple(series),
        marks=(Mark(float(t), f"t = {t}"),),
        summary=_summary(schedules, quantity, t, lang),
        formula=q.formula,
        source=f"ldm_core.diffusion.schedule.{q.source}",
    )


def _summary(schedules: Mapping[str, NoiseSchedule], quantity: str, t: int, lang: str) -> str:
    q = QUANTITIES[quantity]
    at = [
        say(lang, "value_at", name=say(lang, f"schedule_{kind}"), value=f"{q.values(s)[t]:.4g}")
        for kind, s in schedules.items()
    ]
    text = say(lang, "summary_at", symbol=q.symbol, t=t, values=say(lang, "joint").join(at))
    if quantity != "snr":
        return text
    crossed = {kind: crossing(np.arange(len(s.snr), dtype=float), s.snr, 1.0) for kind, s in schedules.items()}
    return (
        text
        + " "
        + say(lang, "joint").join(
            say(lang, "snr_crosses", name=say(lang, f"schedule_{kind}"), t=f"{place:.0f}")
            if place is not None
            else say(lang, "snr_never", name=say(lang, f"schedule_{kind}"))
            for kind, place in crossed.items()
        )
        + say(lang, "stop_mark")
    )


def step_grids(schedule: NoiseSchedule, steps: int, lang: str) -> Plot:
    """The timesteps each kind of grid chooses, in the order they are walked."""
    T = schedule.num_timesteps
    if not 1 <= steps <= T:
        raise RequestError("fault_steps", steps=steps, T=T)
    walked = {kind: make_ddim_timesteps(kind, steps, T)[::-1] for kind in GRIDS}
    places = np.arange(1, steps + 1, dtype=float)
    series = tuple(
        Series(say(lang, f"grid_{kind}"), places, t.astype(float), i) for i, (kind, t) in enumerate(walked.items())
    )
    first = say(lang, "joint").join(
        say(lang, "grid_first", name=say(lang, f"grid_{kind}"), t=int(t[0]), snr=f"{schedule.snr[t[0]]:.2g}")
        for kind, t in walked.items()
    )
    return Plot(
        title=say(lang, "grids_plot"),
        x=Axis(say(lang, "axis_step")),
        y=Axis(say(lang, "axis_t")),
        series=series,
        summary=say(lang, "grids_summary", first=first, terminal=f"{schedule.snr[-1]:.2g}"),
        formula=r"\tau_i = \lfloor i\,T/S \rfloor + 1",
        source="ldm_core.diffusion.schedule.make_ddim_timesteps",
    )


def step_noise(schedule: NoiseSchedule, steps: int, eta: float, lang: str) -> Plot:
    """σ of the noise that each DDIM step adds, per kind of grid."""
    places = np.arange(1, steps + 1, dtype=float)
    series, total = [], []
    for i, kind in enumerate(GRIDS):
        sigma = schedule.grid(kind, steps, eta).sigma.double().numpy()
        series.append(Series(say(lang, f"grid_{kind}"), places, sigma, i))
        total.append(say(lang, "value_at", name=say(lang, f"grid_{kind}"), value=f"{sigma.max():.3g}"))
    return Plot(
        title=say(lang, "sigma_plot", eta=f"{eta:g}"),
        x=Axis(say(lang, "axis_step")),
        y=Axis("σ"),
        series=tuple(series),
        summary=say(lang, "sigma_summary", values=say(lang, "joint").join(total)),
        formula=r"\sigma_i = \eta \sqrt{(1-\bar\alpha_{i-1})(1-\bar\alpha_i/\bar\alpha_{i-1})/(1-\bar\alpha_i)}",
        source="ldm_core.diffusion.schedule.NoiseSchedule.grid",
    )
