"""What each timestep counts for in a loss: the variational bound's weights, the published ones, min-SNR, and shares."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from app.i18n import say
from app.labs.common.plot import Axis, Mark, Plot, Series, Values, crossing
from app.labs.common.schedules import make_schedules
from app.schemas import RequestError
from ldm_core.config import Parameterization
from ldm_core.diffusion.schedule import NoiseSchedule
from ldm_core.losses.diffusion import min_snr_weights

SETTINGS = (1000, 0.00085, 0.012, 0.008)  # T, linear_start, linear_end, cosine_s: SD v1's
FORMS = ("eps", "x0", "x0_published", "v")
LOSSES = ("bound", "eps", "x0", "v", "min_snr")
FIRST = 12  # timesteps of the plot about the first weight
SCHEDULE = "ldm_core.diffusion.schedule.NoiseSchedule"


def make_schedule(kind: str, v: float) -> NoiseSchedule:
    """One of the four schedules of 1000 timesteps, with a posterior variance between β̃ (v = 0) and β (v = 1)."""
    return make_schedules([kind], *SETTINGS, v)[kind]


def form_weights(schedule: NoiseSchedule, form: str) -> Values:
    """One of FORMS: the weight of a squared error in eps, x0 or v at each t, [T]."""
    if form == "x0_published":
        return schedule.lvlb_weights("x0")
    return schedule.lvlb_weights(_parameterization(form), published=False)


def formula_first(schedule: NoiseSchedule) -> float:
    """β²/(2σ²α(1−ᾱ)) at t = 0, which `lvlb_weights` replaces; infinite where σ² is 0 (v = 0)."""
    beta, variance = schedule.betas[0], schedule.posterior_variance[0]
    return float(beta / (2.0 * variance * (1.0 - beta))) if variance > 0 else float("inf")  # 1−ᾱ₀ is β₀


def loss_weights(schedule: NoiseSchedule, loss: str, measured: str, gamma: float) -> Values:
    """What one of LOSSES pays for a squared error measured in eps, x0 or v, [T]; 1 where a loss is simple.

    An error δ in x0 is √SNR·δ in eps and √(SNR+1)·δ in v (Hang et al. 2023, §3.4).
    """
    form = _parameterization(measured)
    if loss == "bound":
        return schedule.lvlb_weights(form, published=False)
    if loss == "min_snr":
        return min_snr_weights(schedule.snr, gamma, form)
    x0 = min_snr_weights(schedule.snr, np.inf, form) / schedule.snr  # what x0's simple loss pays
    factor = {"x0": np.ones_like(x0), "eps": schedule.snr, "v": schedule.snr + 1.0}[loss]
    return x0 * factor


def cumulative(weights: Values) -> Values:
    """The share of all weight at timesteps up to t: increasing, 1 at the end."""
    total = np.cumsum(weights)
    return np.asarray(total / total[-1])


def half_at(weights: Values) -> int:
    """The smallest t for which at least half of all weight lies at timesteps up to t."""
    return int(np.searchsorted(cumulative(weights), 0.5))


def weights_plot(schedule: NoiseSchedule, forms: Sequence[str], t: int, lang: str) -> Plot:
    """The chosen FORMS over t; the cursor stands at t."""
    if not forms:
        raise RequestError("fault_no_form")
    weights = {form: form_weights(schedule, form) for form in forms}
    text = say(lang, "summary_at", symbol="w", t=t, values=_values_at(weights, t, lang, "form"))
    if "x0" in weights and "x0_published" in weights:
        ratio = weights["x0"] / weights["x0_published"]
        text += " " + say(lang, "published_ratio", first=f"{ratio[1]:.3g}", last=f"{ratio[-1]:.3g}")
        if (equal := crossing(_places(schedule), ratio, 1.0)) is not None:
            text += " " + say(lang, "published_equal", t=f"{equal:.0f}")
    return Plot(
        title=say(lang, "weights_plot"),
        x=Axis(say(lang, "axis_t")),
        y=Axis("w", log=True),
        series=_series(schedule, weights, FORMS, "form", lang),
        marks=(Mark(float(t), f"t = {t}"),),
        summary=text,
        formula=r"w_\epsilon = \frac{\beta_t^2}{2\sigma_t^2\alpha_t(1-\bar\alpha_t)},\quad "
        r"w_{x_0} = \mathrm{SNR}(t)\,w_\epsilon \overset{v=0}{=} \tfrac12(\mathrm{SNR}(t-1) - \mathrm{SNR}(t)),\quad "
        r"w_v = \bar\alpha_t\,w_\epsilon",
        source=f"{SCHEDULE}.lvlb_weights",
    )


def first_plot(schedule: NoiseSchedule, lang: str) -> Plot:
    """The first few eps weights: what the formula says, and what is used."""
    used = schedule.lvlb_weights("eps")[:FIRST]
    first, places = formula_first(schedule), np.arange(len(used), dtype=float)
    formula = np.append(first if np.isfinite(first) else np.nan, used[1:])
    said = say(lang, "first_finite", first=f"{first:.4g}") if np.isfinite(first) else say(lang, "first_infinite")
    return Plot(
        title=say(lang, "first_plot"),
        x=Axis(say(lang, "axis_t")),
        y=Axis("w"),
        series=(
            Series(say(lang, "first_used"), places, used, 1, "steps"),
            Series(say(lang, "first_formula"), places, formula, 0, "dots"),
        ),
        summary=said + " " + say(lang, "first_summary", used=f"{used[0]:.4g}"),
        formula=r"w_0 = \frac{\beta_0^2}{2\sigma_0^2\alpha_0(1-\bar\alpha_0)},\quad \sigma_0^2 = v\,\beta_0",
        source=f"{SCHEDULE}.lvlb_weights",
    )


def losses_plot(
    schedule: NoiseSchedule, losses: Sequence[str], measured: str, gamma: float, t: int, lang: str
) -> tuple[Plot, Plot]:
    """What each loss pays for one and the same error, and the share of it that lies up to t."""
    if not losses:
        raise RequestError("fault_no_loss")
    weights = {loss: loss_weights(schedule, loss, measured, gamma) for loss in losses}
    name, mark = say(lang, f"measured_{measured}"), (Mark(float(t), f"t = {t}"),)
    paid = Plot(
        title=say(lang, "paid_plot", measured=name),
        x=Axis(say(lang, "axis_t")),
        y=Axis("w", log=True),
        series=_series(schedule, weights, LOSSES, "objective", lang),
        marks=mark,
        summary=say(lang, "summary_at", symbol="w", t=t, values=_values_at(weights, t, lang, "objective")),
        formula=r"w_{\text{min-SNR}} = \min(\mathrm{SNR}, \gamma) \;\text{on}\; \|x_0-\hat x_0\|^2 = "
        r"\mathrm{SNR}^{-1}\,\|\epsilon-\hat\epsilon\|^2 = (\mathrm{SNR}+1)^{-1}\,\|v-\hat v\|^2",
        source="ldm_core.losses.diffusion.min_snr_weights",
    )
    shares = {loss: cumulative(w) for loss, w in weights.items()}
    halves = [say(lang, "half_below", name=say(lang, f"objective_{loss}"), t=half_at(w)) for loss, w in weights.items()]
    share = Plot(
        title=say(lang, "share_plot"),
        x=Axis(say(lang, "axis_t")),
        y=Axis(say(lang, "axis_share_t"), range=(0.0, 1.0)),
        series=_series(schedule, shares, LOSSES, "objective", lang),
        marks=mark,
        summary=say(lang, "joint").join(halves) + say(lang, "stop_mark"),
        formula=r"F(t) = \sum_{s \le t} w_s \Big/ \sum_{s} w_s",
        source="app.labs.lower_bound.weights.cumulative",
    )
    return paid, share


def _parameterization(name: str) -> Parameterization:
    known: Mapping[str, Parameterization] = {"eps": "eps", "x0": "x0", "v": "v"}
    return known[name]


def _places(schedule: NoiseSchedule) -> Values:
    return np.arange(schedule.num_timesteps, dtype=float)


def _series(
    schedule: NoiseSchedule, values: Mapping[str, Values], order: Sequence[str], word: str, lang: str
) -> tuple[Series, ...]:
    places = _places(schedule)
    return tuple(Series(say(lang, f"{word}_{name}"), places, y, order.index(name)) for name, y in values.items())


def _values_at(weights: Mapping[str, Values], t: int, lang: str, word: str) -> str:
    said = [say(lang, "value_at", name=say(lang, f"{word}_{name}"), value=f"{w[t]:.4g}") for name, w in weights.items()]
    return say(lang, "joint").join(said)
