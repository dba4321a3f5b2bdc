"""The Lower bound lab against the bound's closed forms."""

from __future__ import annotations

import numpy as np
import pytest

from app.labs.common.schedules import KINDS
from app.labs.lower_bound.weights import (
    FORMS,
    LOSSES,
    cumulative,
    first_plot,
    form_weights,
    formula_first,
    half_at,
    loss_weights,
    losses_plot,
    make_schedule,
    weights_plot,
)
from app.schemas import RequestError
from ldm_core.diffusion.schedule import NoiseSchedule


@pytest.fixture(scope="module")
def schedule() -> NoiseSchedule:
    return make_schedule("linear", 0.0)


@pytest.mark.parametrize("kind", KINDS)
def test_true_x0_weights_are_differences_of_snr(kind: str):
    schedule = make_schedule(kind, 0.0)
    series = {s.name: s.y for s in weights_plot(schedule, FORMS, 400, "en").series}
    np.testing.assert_allclose(series["x₀ (bound)"][1:], 0.5 * -np.diff(schedule.snr), rtol=1e-6)
    a = schedule.alphas_cumprod
    np.testing.assert_allclose(series["x₀ (published)"][1:], (0.5 * np.sqrt(a) / (2 - a))[1:])


def test_weights_of_x0_are_differences_of_snr_only_without_v():
    """As the formula under the plot says."""
    schedule = make_schedule("linear", 0.5)
    plot = weights_plot(schedule, ["eps", "x0"], 400, "en")
    eps, x0 = (series.y for series in plot.series)
    np.testing.assert_allclose(x0[1:], (schedule.snr * eps)[1:], rtol=1e-6)
    assert x0[1] < 0.9 * 0.5 * (schedule.snr[0] - schedule.snr[1])
    assert r"\mathrm{SNR}(t)\,w_\epsilon \overset{v=0}{=} \tfrac12" in plot.formula


def test_first_weight_is_infinite_only_without_variance(schedule: NoiseSchedule):
    assert formula_first(schedule) == np.inf
    assert "infinite" in first_plot(schedule, "en").summary
    half = make_schedule("linear", 0.5)
    assert formula_first(half) == pytest.approx(1.0 / (1.0 - half.betas[0]))
    drawn = first_plot(half, "en").series
    used, formula = (next(s.y for s in drawn if s.name == name) for name in ("as used", "by the formula"))
    assert used[0] == used[1] == formula[1] and formula[0] == formula_first(half)


@pytest.mark.parametrize("form", ["eps", "x0", "v"])
def test_every_currency_pays_the_same_for_the_same_error(schedule: NoiseSchedule, form: str):
    """Errors in x0 of 1: what a loss pays does not depend on how it is counted."""
    squared = {"x0": np.ones(1000), "eps": schedule.snr, "v": schedule.snr + 1}
    for loss in LOSSES:
        paid = loss_weights(schedule, loss, form, 5.0) * squared[form]
        expected = loss_weights(schedule, loss, "x0", 5.0)
        np.testing.assert_allclose(paid[1:], expected[1:], rtol=1e-6)
    np.testing.assert_allclose(loss_weights(schedule, form, form, 5.0), 1.0)


def test_min_snr_never_pays_more_than_gamma(schedule: NoiseSchedule):
    w = loss_weights(schedule, "min_snr", "x0", 3.0)
    assert w.max() == 3.0
    np.testing.assert_allclose(w[schedule.snr < 3], schedule.snr[schedule.snr < 3])


def test_shares_end_at_one_and_half_is_a_half(schedule: NoiseSchedule):
    assert half_at(np.ones(1000)) == 499
    for loss in LOSSES:
        w = loss_weights(schedule, loss, "x0", 5.0)
        share, t = cumulative(w), half_at(w)
        assert share[-1] == pytest.approx(1.0) and (np.diff(share) >= 0).all()
        assert share[t] >= 0.5 and (t == 0 or share[t - 1] < 0.5)


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_sentences_name_where_half_lies(schedule: NoiseSchedule, lang: str):
    _, share = losses_plot(schedule, ["x0", "eps"], "x0", 5.0, 400, lang)
    assert "t ≤ 499" in share.summary and f"t ≤ {half_at(schedule.snr)}" in share.summary
    assert share.marks[0].at == 400


def test_nothing_chosen_gets_one_sentence(schedule: NoiseSchedule):
    with pytest.raises(RequestError, match="Choose at least one weight"):
        weights_plot(schedule, [], 0, "en")
    with pytest.raises(RequestError, match="Choose at least one loss"):
        losses_plot(schedule, [], "x0", 5.0, 0, "en")


def test_what_the_text_says_of_the_published_weights(schedule: NoiseSchedule):
    published, true = (w[10] / w[900] for w in (form_weights(schedule, form) for form in ("x0_published", "x0")))
    assert published == pytest.approx(16, rel=0.05) and true == pytest.approx(70_000, rel=0.05)


def test_what_the_folded_answer_says_of_the_first_two_weights():
    for v, first, used in ((0.25, 2.0, 0.40), (1.0, 0.5, 0.25)):
        schedule = make_schedule("linear", v)
        assert formula_first(schedule) == pytest.approx(first, rel=0.01)
        assert form_weights(schedule, "eps")[1] == pytest.approx(used, rel=0.01)
    assert form_weights(make_schedule("linear", 0.0), "eps")[1] == pytest.approx(0.5, rel=0.05)
