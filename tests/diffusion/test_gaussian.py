from __future__ import annotations

import pytest
import torch
from diffusers import DDPMScheduler

from ldm_core.diffusion import gaussian
from tests.diffusion.oracles import SCHEDULE, draws

TABLES = gaussian.tables_of(SCHEDULE)
T = torch.tensor([1, 250, 999])


def test_q_sample_and_its_moments():
    x, noise = torch.stack(draws(0, 3)), torch.stack(draws(1, 3))
    peer = DDPMScheduler(1000, 0.00085, 0.012, "scaled_linear")
    x_t = gaussian.q_sample(TABLES, x, T, noise)
    torch.testing.assert_close(x_t, peer.add_noise(x, noise, T), rtol=1e-5, atol=1e-5)
    mean, variance, log_variance = gaussian.q_mean_variance(TABLES, x, T)
    torch.testing.assert_close(mean + variance.sqrt() * noise, x_t, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(log_variance.exp(), variance)
    assert mean.shape == x.shape
    assert variance.shape == (3, 1, 1, 1)


def test_every_way_back_to_the_start():
    x, noise = torch.stack(draws(2, 3)), torch.stack(draws(3, 3))
    x_t = gaussian.q_sample(TABLES, x, T, noise)
    peer = DDPMScheduler(1000, 0.00085, 0.012, "scaled_linear")
    v = peer.get_velocity(x, noise, T)
    for kind, out in (("eps", noise), ("x0", x), ("v", v)):
        torch.testing.assert_close(gaussian.predict_start(TABLES, kind, x_t, T, out), x, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("t", [1, 100, 999])
def test_posterior_is_bayes_rule(t: int):
    """N(x_t; √α·x_{t−1}, β)·N(x_{t−1}; √ᾱ_prev·x_0, 1−ᾱ_prev), multiplied on a line of x_{t−1}."""
    beta, prev = SCHEDULE.betas[t], SCHEDULE.alphas_cumprod_prev[t]
    x0, x_t = 0.8, -0.3
    mean, variance, log_variance = (
        float(v)
        for v in gaussian.q_posterior(TABLES, torch.full((1, 1), x0), torch.full((1, 1), x_t), torch.tensor([t]))
    )
    line = torch.linspace(mean - 8 * variance**0.5, mean + 8 * variance**0.5, 20001, dtype=torch.float64)
    log_p = -((x_t - (1 - beta) ** 0.5 * line) ** 2) / (2 * beta) - (line - prev**0.5 * x0) ** 2 / (2 * (1 - prev))
    p = log_p.softmax(0)
    assert float(p @ line) == pytest.approx(mean, abs=1e-5)
    assert float(p @ (line - mean) ** 2) == pytest.approx(variance, rel=1e-4)
    assert log_variance == pytest.approx(torch.tensor(variance).log().item(), abs=1e-5)


def test_repeated_and_seeded_noise():
    like = torch.zeros(3, 4, 5)
    seeded = torch.Generator().manual_seed(0)
    draw = gaussian.standard_normal(like, seeded)
    assert torch.equal(draw, gaussian.standard_normal(like, torch.Generator().manual_seed(0)))
    repeated = gaussian.standard_normal(like, seeded, repeat=True)
    assert torch.equal(repeated[0], repeated[2])
    assert repeated.shape == like.shape
