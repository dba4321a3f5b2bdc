"""The further samplers: order of convergence, exact moments, the peers' numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from torch import Tensor

from benchmarks.order import LAST, exact_moments, flow_error, fractional_grid, gaussian, moments, order
from ldm_core.diffusion.denoiser import ModelInput
from ldm_core.diffusion.gaussian import Prediction
from ldm_core.diffusion.sample_loop import drive
from ldm_core.diffusion.samplers import SAMPLERS, ddim, euler_a, scale_noise, sigmas_of
from tests.diffusion.oracles import SCHEDULE, SHAPE, draws, network, network_oracle, record, replay

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation")  # diffusers with numpy 2

# sampler: order of its path where noise is left out, order of its moments where noise is drawn
ORDERS = {"ddim": 1, "euler": 1, "heun": 2, "plms": 2, "dpmpp_2m": 2, "unipc": 3}
MOMENT_ORDERS = {"ddpm": 1, "euler_a": 1, "dpmpp_2m_sde": 2}


def test_every_sampler_is_measured():
    assert ORDERS.keys() | MOMENT_ORDERS.keys() == SAMPLERS.keys()


@pytest.mark.parametrize("name", ORDERS)
def test_order_of_the_path(name: str):
    assert order(lambda n: flow_error(name, n), (60, 120, 240)) == pytest.approx(ORDERS[name], abs=0.12)


@pytest.mark.parametrize("name", MOMENT_ORDERS)
def test_order_of_mean_and_variance(name: str):
    mean, variance = exact_moments()

    def error(n: int) -> float:
        m, v = moments(name, n)
        return max(abs(m - mean), abs(v**0.5 - variance**0.5))

    assert order(error, (40, 80, 160)) == pytest.approx(MOMENT_ORDERS[name], abs=0.15)


@pytest.mark.parametrize("name", ["ddpm", "euler_a", "dpmpp_2m_sde"])
@pytest.mark.parametrize("n", [2, 7])
def test_moments_are_exact_for_any_steps_where_x0_is_certain(name: str, n: int):
    """Data without spread: x0 is known, only the noise has to be right."""
    assert moments(name, n, spread=0.0) == pytest.approx(exact_moments(spread=0.0), abs=1e-12)


@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
def test_ddim_keeps_the_moments_at_every_eta(eta: float):
    assert moments("ddim", 5, eta, spread=0.0) == pytest.approx(exact_moments(spread=0.0), abs=1e-12)


@pytest.mark.parametrize("eta", [0.0, 0.3, 1.0])
def test_ddim_is_the_ancestral_sampler_of_its_eta(eta: float):
    x, *noises = (d.double() for d in draws(0, 13))
    grid = fractional_grid(12, eta)
    left = drive(ddim(x, grid, noise=replay(noises)), gaussian)
    right = drive(euler_a(x, grid, noise=replay(noises), last_sigma=LAST, ancestral=eta), gaussian)
    torch.testing.assert_close(left, right, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("name", sorted(SAMPLERS))
@pytest.mark.parametrize("n", [1, 2, 3, 9])
def test_one_draw_a_step_and_questions_in_order(name: str, n: int):
    taken = []

    def noise() -> Tensor:
        taken.append(1)
        return torch.zeros(SHAPE)

    _, inputs, _ = record(SAMPLERS[name](draws(1, 1)[0], SCHEDULE.grid("uniform", n), noise=noise), network_oracle)
    assert len(taken) == n
    steps = [q.step for q in inputs]
    assert sorted(set(steps)) == list(range(n))
    assert steps == sorted(steps)
    asked_twice = {"heun": n - 1, "plms": min(1, n - 1)}
    assert len(inputs) == n + asked_twice.get(name, 0)
    assert all(q.x.shape == SHAPE and q.x.dtype == torch.float32 for q in inputs)


@pytest.mark.parametrize("name", sorted(SAMPLERS))
def test_the_last_sigma_is_the_stated_one(name: str):
    """With x0 known to be a point, what is left of the noise shows the last σ."""
    point = torch.full(SHAPE, 0.7)
    n = 6
    start_x, *noises = draws(2, n + 1)

    def certain(model_input: ModelInput) -> Prediction:
        a = SCHEDULE.alpha_bar_at(model_input.t)
        return Prediction((model_input.x - a.sqrt() * point) / (1 - a).sqrt(), point)

    final = drive(SAMPLERS[name](start_x, SCHEDULE.grid("uniform", n), noise=replay(noises)), certain)
    a0 = SCHEDULE.alphas_cumprod[0]
    if name in ("ddim", "plms"):
        left = (final - a0**0.5 * point).std() / a0**0.5
        assert float(left) == pytest.approx(0.0292, rel=0.2)
        assert ((1 - a0) / a0) ** 0.5 == pytest.approx(0.0292, rel=1e-2)
    else:
        torch.testing.assert_close(final, point)
    assert f"Last σ: {'that of t = 0' if name in ('ddim', 'plms') else '0'}" in (SAMPLERS[name].__doc__ or "")


@pytest.mark.parametrize("name", sorted(SAMPLERS))
def test_the_argument_is_left_alone_and_projection_is_heard(name: str):
    x, *noises = draws(3, 6)
    before, grid = x.clone(), SCHEDULE.grid("uniform", 5)
    free = drive(SAMPLERS[name](x, grid, noise=replay(noises)), network_oracle)
    clipped = drive(
        SAMPLERS[name](x, grid, noise=replay(noises), project=lambda x0: x0.clamp(-0.2, 0.2)), network_oracle
    )
    assert torch.equal(x, before)
    assert not torch.allclose(free, clipped, atol=1e-2)


def test_temper_and_dropout():
    draw = torch.randn(20000, generator=torch.Generator().manual_seed(0))
    assert torch.equal(scale_noise(draw, 1.0, 0.0, None), draw)
    torch.testing.assert_close(scale_noise(draw, 0.5, 0.0, None), 0.5 * draw)
    dropped = scale_noise(draw, 1.0, 0.3, torch.Generator().manual_seed(1))
    kept = dropped != 0
    assert float(kept.float().mean()) == pytest.approx(0.7, abs=0.02)
    torch.testing.assert_close(dropped[kept], draw[kept] / 0.7)
    with pytest.raises(ValueError, match="noise_dropout"):
        scale_noise(draw, 1.0, 1.0, None)


# -- against diffusers, on our grid and at our last σ ----------------------------------------------------------------

BETAS = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}


def force(peer: Any, timesteps: list[float], sigmas: Tensor) -> None:
    """Make a diffusers scheduler walk our grid."""
    peer.set_timesteps(len(timesteps))
    peer.timesteps, peer.sigmas = torch.tensor(timesteps), sigmas


def walk_z(peer: Any, x: Tensor, sigma: Tensor) -> Tensor:
    """A σ-space scheduler: it scales what the network sees."""
    z = x * (1 + sigma**2).sqrt()
    for t in peer.timesteps:
        z = peer.step(network(peer.scale_model_input(z, t), t), t, z).prev_sample
    return z


def walk_x(peer: Any, x: Tensor, sigma: Tensor) -> Tensor:
    x = x[None]
    for t in peer.timesteps:
        x = peer.step(network(x, t), t, x).prev_sample
    return x[0]


def peer_euler(t: list[float], sigmas: Tensor) -> Any:
    peer = diffusers.EulerDiscreteScheduler(**BETAS)
    force(peer, t, sigmas)
    return peer


def peer_euler_a(t: list[float], sigmas: Tensor) -> Any:
    peer = diffusers.EulerAncestralDiscreteScheduler(**BETAS)
    force(peer, t, sigmas)
    return peer


def peer_heun(t: list[float], sigmas: Tensor) -> Any:
    peer = diffusers.HeunDiscreteScheduler(**BETAS)
    peer.set_timesteps(timesteps=t)  # type: ignore[arg-type]
    return peer


def peer_dpm(t: list[float], sigmas: Tensor, kind: str = "dpmsolver++") -> Any:
    peer = diffusers.DPMSolverMultistepScheduler(**BETAS, algorithm_type=kind)
    peer.set_timesteps(timesteps=t)  # type: ignore[arg-type]
    return peer


def peer_sde(t: list[float], sigmas: Tensor) -> Any:
    return peer_dpm(t, sigmas, "sde-dpmsolver++")


def peer_unipc(t: list[float], sigmas: Tensor) -> Any:
    peer = diffusers.UniPCMultistepScheduler(**BETAS, solver_order=2, solver_type="bh2")
    force(peer, t, sigmas)
    return peer


def peer_plms(t: list[float], sigmas: Tensor) -> Any:
    peer = diffusers.PNDMScheduler(**BETAS, skip_prk_steps=True, steps_offset=1)
    peer.set_timesteps(len(t))
    assert peer.timesteps.tolist()[2:] == t[1:]  # the second of theirs is asked twice
    return peer


Walk = Callable[[Any, Tensor, Tensor], Tensor]
PEERS: dict[str, tuple[Callable[[list[float], Tensor], Any], Walk]] = {
    "euler": (peer_euler, walk_z),
    "euler_a": (peer_euler_a, walk_z),
    "heun": (peer_heun, walk_z),
    "plms": (peer_plms, walk_x),
    "dpmpp_2m": (peer_dpm, walk_x),
    "dpmpp_2m_sde": (peer_sde, walk_x),
    "unipc": (peer_unipc, walk_x),
}


def difference(name: str, n: int, monkeypatch: pytest.MonkeyPatch) -> tuple[float, float]:
    """Largest difference between our sampler's result and the peer's, and the result's size."""
    x, *noises = draws(4, n + 1)
    grid = SCHEDULE.grid("uniform", n)
    ours = drive(SAMPLERS[name](x, grid, noise=replay(noises)), network_oracle)
    make, walk = PEERS[name]
    for module in ("scheduling_euler_ancestral_discrete", "scheduling_dpmsolver_multistep"):
        queue = replay(noises)
        monkeypatch.setattr(
            f"diffusers.schedulers.{module}.randn_tensor", lambda shape, *a, q=queue, **k: q().reshape(shape)
        )
    sigmas = sigmas_of(grid, 0.0)
    theirs = walk(make(grid.t.tolist(), sigmas), x, sigmas[0])
    return float((ours - theirs).abs().max()), float(ours.abs().max())


@pytest.mark.parametrize("name", sorted(PEERS))
@pytest.mark.parametrize("n", [2, 10, 25])
def test_numbers_are_the_peers(name: str, n: int, monkeypatch: pytest.MonkeyPatch):
    got, size = difference(name, n, monkeypatch)
    assert got <= 2e-5 * max(1.0, size), (got, size)


def test_gaussian_oracle_is_bayes():
    """The analytic answer against the posterior mean of a joint normal."""
    t = torch.tensor(400.0, dtype=torch.float64)
    a = SCHEDULE.alpha_bar_at(t).item()
    x = torch.tensor([0.3, -1.2], dtype=torch.float64)
    prediction = gaussian(ModelInput(x, t, 0), 0.7, 0.4)
    covariance = np.array([[0.16, a**0.5 * 0.16], [a**0.5 * 0.16, a * 0.16 + 1 - a]])
    expected = 0.7 + covariance[0, 1] / covariance[1, 1] * (x.numpy() - a**0.5 * 0.7)
    np.testing.assert_allclose(prediction.x0.numpy(), expected, rtol=1e-10)
