"""What the Schedules lab draws is what ldm_core says, and bad settings get one sentence."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from app.engine import Stepped
from app.labs.common.cross_schedule import cross_schedule_grid, sample_on_schedules
from app.labs.common.schedules import KINDS, make_schedules
from app.labs.schedules.curves import QUANTITIES, compare, step_grids, step_noise
from app.labs.schedules.forward_process import noised
from app.schemas import RequestError
from ldm_core.diffusion.schedule import NoiseSchedule
from ldm_core.pipeline import Pipeline, finish
from ldm_core.sampling import SamplingParams
from tests.app.labs.studies import answer
from tests.tiny import tiny_pipeline

SETTINGS = (1000, 0.00085, 0.012, 0.008)


@pytest.fixture(scope="module")
def pipe() -> Pipeline:
    return tiny_pipeline()


@pytest.mark.parametrize("quantity", list(QUANTITIES))
def test_every_quantity_is_the_checkpoints_own_buffer(quantity: str):
    schedules = make_schedules(["linear"], *SETTINGS)
    buffers = schedules["linear"].buffers()
    names = {
        "beta": "betas",
        "alpha_bar": "alphas_cumprod",
        "signal": "sqrt_alphas_cumprod",
        "noise": "sqrt_one_minus_alphas_cumprod",
        "posterior_variance": "posterior_variance",
        "coef1": "posterior_mean_coef1",
        "coef2": "posterior_mean_coef2",
    }
    drawn = compare(schedules, quantity, 400, "en").series[0].y
    if quantity == "snr":
        expected = (buffers["alphas_cumprod"] / (1 - buffers["alphas_cumprod"])).numpy()
    elif quantity == "alpha":
        expected = 1 - buffers["betas"].numpy()
    else:
        expected = buffers[names[quantity]].numpy()
    known = np.isfinite(drawn)
    np.testing.assert_allclose(drawn[known], expected[known], rtol=2e-4)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ((0, 1e-4, 0.02, 0.008), "T must be a whole number from 1 to 10000, not 0."),
        ((10**9, 1e-4, 0.02, 0.008), "T must be a whole number from 1 to 10000, not 1000000000."),
        ((float("nan"), 1e-4, 0.02, 0.008), "T must be a whole number from 1 to 10000, not nan."),
        ((10, 1e-4, 0.01, float("nan")), "cosine_s must be above 0, not nan."),
        ((10, 0.02, 0.01, 0.008), "linear_end (0.01) must not be smaller than linear_start (0.02)."),
        ((10, 0.0, 0.01, 0.008), "linear_start and linear_end must lie between 0 and 1, not 0.0 and 0.01."),
        ((10, 1e-4, 0.01, 0.0), "cosine_s must be above 0, not 0.0."),
    ],
)
def test_impossible_settings_get_one_sentence(settings: tuple[float, ...], sentence: str):
    with pytest.raises(RequestError) as caught:
        make_schedules(KINDS, *settings)
    assert str(caught.value) == sentence


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_snr_crossing_is_where_alpha_bar_is_a_half(lang: str):
    schedules = make_schedules(["cosine"], *SETTINGS)
    t = int(np.flatnonzero(schedules["cosine"].alphas_cumprod < 0.5)[0])
    summary = compare(schedules, "snr", 400, lang).summary
    assert f"t = {t}" in summary or f"t = {t - 1}" in summary


def test_steps_and_their_noise():
    schedule = NoiseSchedule(make_schedules(["linear"], *SETTINGS)["linear"].betas)
    plot = step_grids(schedule, 10, "en")
    assert [s.y[0] for s in plot.series] == [901.0, 801.0, 999.0]
    assert all(len(s.y) == 10 for s in plot.series)
    assert all((s.y == 0).all() for s in step_noise(schedule, 10, 0.0, "en").series)
    with pytest.raises(RequestError):
        step_grids(schedule, 1001, "en")


def test_the_trained_schedule_respaced_is_itself():
    schedule = make_schedules(["linear"], *SETTINGS)["linear"]
    grid, own = cross_schedule_grid(schedule, schedule, 10), schedule.grid("uniform", 10)
    torch.testing.assert_close(grid.t, own.t, rtol=0, atol=1e-2)
    torch.testing.assert_close(grid.alpha_bar_prev, own.alpha_bar_prev, rtol=1e-4, atol=1e-5)


def test_what_the_folded_answer_says_of_other_schedules():
    schedules = make_schedules(KINDS, *SETTINGS)

    def asked(kind: str, steps: int) -> list[float]:
        return cross_schedule_grid(schedules["linear"], schedules[kind], steps).t.round().tolist()

    assert asked("cosine", 6)[0] == 732
    assert asked("sqrt", 6)[:5] == [999] * 5 and asked("sqrt", 6)[5] < 60
    assert asked("sqrt", 50).count(999) == 43
    assert all(asked(kind, 50).count(999) <= 4 for kind in ("linear", "cosine", "sqrt_linear"))


def test_the_trained_schedule_makes_the_pipelines_own_picture(pipe: Pipeline):
    made, steps = answer(sample_on_schedules(pipe, SamplingParams("a cat", steps=3, seed=7), {"linear": pipe.schedule}))
    expected = pipe.decode(finish(pipe.stream("a cat", steps=3, seed=7)))[0]
    assert [s.i for s in steps] == [1, 2, 3] and all(isinstance(s, Stepped) for s in steps)
    assert np.abs(made.pictures["linear"].astype(int) - expected.astype(int)).max() <= 2


def test_noise_at_the_last_timestep_hides_the_picture(pipe: Pipeline):
    picture = np.full((32, 32, 3), 255, np.uint8)
    early, _ = answer(noised(pipe, picture, 0, seed=0))
    late, _ = answer(noised(pipe, picture, 999, seed=0))
    assert early.pixels.astype(float).mean() > 240
    assert abs(late.pixels.astype(float).mean() - 127.5) < 20
    assert late.signal**2 + late.noise**2 == pytest.approx(1.0)
