from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler, DDPMScheduler
from hypothesis import given
from hypothesis import strategies as st

from ldm_core.config import ScheduleConfig
from ldm_core.diffusion.schedule import NoiseSchedule, make_beta_schedule, make_ddim_timesteps
from ldm_core.presets import SD_V1

T = 1000
SD = NoiseSchedule.from_config(SD_V1.schedule)


@pytest.mark.parametrize(("ours", "theirs"), [("linear", "scaled_linear"), ("sqrt_linear", "linear")])
def test_betas_are_the_peers(ours: str, theirs: str):
    peer = DDPMScheduler(T, beta_start=0.00085, beta_end=0.012, beta_schedule=theirs)
    np.testing.assert_allclose(make_beta_schedule(ours, T, 0.00085, 0.012), peer.betas.numpy(), rtol=3e-6)


def test_sqrt_betas_are_the_root_of_the_line():
    betas = make_beta_schedule("sqrt", T, 1e-4, 2e-2)
    for t in (0, 1, 500, 999):
        assert betas[t] == pytest.approx(math.sqrt(1e-4 + t / (T - 1) * (2e-2 - 1e-4)), rel=1e-12)


def test_cosine_follows_nichol_and_dhariwal():
    peer = DDPMScheduler(T, beta_schedule="squaredcos_cap_v2")  # the same s = 0.008, and capped at 0.999
    np.testing.assert_allclose(make_beta_schedule("cosine", T), peer.betas.numpy(), rtol=2e-6)
    wider = np.cumprod(1 - make_beta_schedule("cosine", T, cosine_s=0.1))
    t = 300
    f = [math.cos((u / T + 0.1) / 1.1 * math.pi / 2) ** 2 for u in (0, t + 1)]
    assert wider[t] == pytest.approx(f[1] / f[0], rel=1e-10)


def test_unknown_kinds_and_sizes_are_refused():
    with pytest.raises(ValueError, match="beta schedule"):
        make_beta_schedule("square", 10)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="at least 1"):
        make_beta_schedule("linear", 0)
    with pytest.raises(ValueError, match=r"\[0, 1\)"):
        NoiseSchedule(np.array([0.1, 1.0]))
    with pytest.raises(ValueError, match="step grid"):
        make_ddim_timesteps("cubic", 5, 10)  # type: ignore[arg-type]


@pytest.mark.parametrize("v", [0.0, 0.4, 1.0])
@pytest.mark.parametrize("kind", ["linear", "cosine", "sqrt_linear", "sqrt"])
def test_every_buffer_is_its_closed_form(kind: str, v: float):
    c = ScheduleConfig(kind, 50, 1e-3, 2e-2, v_posterior=v)  # type: ignore[arg-type]
    buffers = {k: b.double().numpy() for k, b in NoiseSchedule.from_config(c).buffers().items()}
    betas = make_beta_schedule(c.beta_schedule, 50, 1e-3, 2e-2)
    a = 1.0
    for t, beta in enumerate(betas):
        prev, a = a, a * (1 - beta)
        # Bayes: precision of x_{t−1} is α/β from x_t and 1/(1−ᾱ_prev) from x_0
        precision = (1 - beta) / beta + (1 / (1 - prev) if prev < 1 else math.inf)
        variance = (1 - v) / precision + v * beta
        at_start = prev == 1.0
        expected = {
            "betas": beta,
            "alphas_cumprod": a,
            "alphas_cumprod_prev": prev,
            "sqrt_alphas_cumprod": a**0.5,
            "sqrt_one_minus_alphas_cumprod": (1 - a) ** 0.5,
            "log_one_minus_alphas_cumprod": math.log(1 - a),
            "sqrt_recip_alphas_cumprod": a**-0.5,
            "sqrt_recipm1_alphas_cumprod": (1 / a - 1) ** 0.5,
            "posterior_variance": variance,
            "posterior_log_variance_clipped": math.log(max(variance, 1e-20)),
            "posterior_mean_coef1": 1.0 if at_start else prev**0.5 / (1 - prev) / precision,
            "posterior_mean_coef2": 0.0 if at_start else (1 - beta) ** 0.5 / beta / precision,
        }
        assert buffers.keys() == expected.keys()
        for name, value in expected.items():
            assert buffers[name][t] == pytest.approx(value, rel=2e-6, abs=1e-12), (name, t)


def test_given_betas_win():
    schedule = NoiseSchedule.from_config(ScheduleConfig(given_betas=(0.1, 0.2, 0.3)))
    np.testing.assert_allclose(schedule.alphas_cumprod, [0.9, 0.72, 0.504])


def test_eps_weights_are_the_bound_and_the_first_is_copied():
    w, snr = SD.lvlb_weights("eps"), SD.snr
    np.testing.assert_allclose(w[1:], 0.5 * (snr[:-1] / snr[1:] - 1), rtol=1e-9)
    assert w[0] == w[1]
    np.testing.assert_array_equal(w, SD.lvlb_weights("eps", published=False))


def test_x0_weights_published_and_true():
    published, true = SD.lvlb_weights("x0"), SD.lvlb_weights("x0", published=False)
    assert published[0] == published[1]
    np.testing.assert_allclose(true[1:], 0.5 * (SD.snr[:-1] - SD.snr[1:]), rtol=1e-8)
    numbers = {1: (294.8, 0.499), 100: (0.0560, 0.428), 500: (0.00128, 0.152), 998: (2.9e-5, 0.0172)}
    for t, (bound, other) in numbers.items():
        assert true[t] == pytest.approx(bound, rel=0.01)
        assert published[t] == pytest.approx(other, rel=0.005)


def test_weights_refuse_a_single_nan():
    with pytest.raises(ValueError, match="NaN"):
        NoiseSchedule(np.array([0.1, 0.0, 0.1])).lvlb_weights("eps")


@pytest.mark.parametrize("kind", ["uniform", "quad", "trailing"])
@given(data=st.data(), size=st.integers(1, 1200))
def test_grids_have_exactly_n_increasing_steps_inside_the_table(kind: str, data: st.DataObject, size: int):
    n = data.draw(st.integers(1, size))
    steps = make_ddim_timesteps(kind, n, size)  # type: ignore[arg-type]
    assert len(steps) == n
    assert (np.diff(steps) > 0).all()
    assert steps[0] >= 0
    assert steps[-1] <= size - 1
    if kind != "quad":  # quad ends near 0.8·T by design
        assert steps[-1] >= size - math.ceil(size / n)


@pytest.mark.parametrize("kind", ["uniform", "quad", "trailing"])
def test_every_number_of_steps_of_the_usual_table(kind: str):
    for n in range(1, T + 1):
        steps = make_ddim_timesteps(kind, n, T)  # type: ignore[arg-type]
        assert len(steps) == n
        assert (np.diff(steps) > 0).all()
        assert 0 <= steps[0] <= steps[-1] <= T - 1


def test_uniform_is_the_published_grid_where_n_divides_t():
    for n in (n for n in range(1, T) if T % n == 0):
        np.testing.assert_array_equal(make_ddim_timesteps("uniform", n, T), np.arange(0, T, T // n) + 1)
    peer = DDIMScheduler(T, steps_offset=1)
    peer.set_timesteps(25)
    np.testing.assert_array_equal(make_ddim_timesteps("uniform", 25, T), peer.timesteps.numpy()[::-1])


def test_quad_is_the_published_grid_where_that_is_increasing():
    for n in (2, 10, 20):
        published = (np.linspace(0, math.sqrt(0.8 * T), n) ** 2).astype(int) + 1
        assert (np.diff(published) > 0).all()
        np.testing.assert_array_equal(make_ddim_timesteps("quad", n, T), published)


def test_trailing_is_the_peers():
    for n in (1, 7, 25, 30, 50, 999):
        peer = DDIMScheduler(T, timestep_spacing="trailing")
        peer.set_timesteps(n)
        assert np.abs(make_ddim_timesteps("trailing", n, T) - peer.timesteps.numpy()[::-1]).max() <= 1  # they round
    peer.set_timesteps(50)
    np.testing.assert_array_equal(make_ddim_timesteps("trailing", 50, T), peer.timesteps.numpy()[::-1])


@pytest.mark.parametrize("n", [0, T + 1, -3])
def test_impossible_numbers_of_steps_are_refused(n: int):
    with pytest.raises(ValueError, match=str(n)):
        make_ddim_timesteps("uniform", n, T)


def test_grid_values():
    grid = SD.grid("uniform", 4, eta=1.0)
    assert grid.t.tolist() == [751, 501, 251, 1]
    a = SD.alphas_cumprod
    np.testing.assert_allclose(grid.alpha_bar, a[[751, 501, 251, 1]], rtol=1e-6)
    np.testing.assert_allclose(grid.alpha_bar_prev, a[[501, 251, 1, 0]], rtol=1e-6)
    sigma = math.sqrt((1 - a[501]) / (1 - a[751]) * (1 - a[751] / a[501]))
    assert float(grid.sigma[0]) == pytest.approx(sigma, rel=1e-6)
    assert SD.grid("uniform", 4).sigma.abs().max() == 0
    assert grid.tail(2).t.tolist() == [251, 1]


def test_fractional_timesteps_interpolate_log_sigma():
    t = torch.tensor([0.0, 10.0, 10.5, 998.25, 999.0])
    a = SD.alpha_bar_at(t).double().numpy()
    sigma = np.sqrt((1 - a) / a)
    whole = np.sqrt((1 - SD.alphas_cumprod) / SD.alphas_cumprod)
    assert sigma[0] == pytest.approx(whole[0], rel=1e-4)
    assert sigma[2] == pytest.approx(math.sqrt(whole[10] * whole[11]), rel=1e-5)
    assert sigma[3] == pytest.approx(whole[998] ** 0.75 * whole[999] ** 0.25, rel=1e-5)
    np.testing.assert_allclose(SD.t_at_sigma(sigma), t.numpy(), atol=5e-3)
    assert torch.equal(SD.alpha_bar_at(torch.tensor([0, 10, 999])), SD.alpha_bar_at(torch.tensor([0.0, 10.0, 999.0])))
