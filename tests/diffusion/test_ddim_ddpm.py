from __future__ import annotations

import pytest
import torch
from diffusers import DDIMScheduler, DDPMScheduler

from ldm_core.diffusion.sample_loop import drive
from ldm_core.diffusion.samplers import Sampler, ddim, ddpm
from tests.diffusion.oracles import SCHEDULE, SHAPE, draws, network, network_oracle, record, replay


@pytest.mark.parametrize("eta", [0.0, 0.6, 1.0])
@pytest.mark.parametrize("n", [1, 10, 50])
def test_ddim_is_the_peers(n: int, eta: float):
    start, *noises = draws(3, n + 1)
    ours = drive(ddim(start, SCHEDULE.grid("uniform", n, eta), noise=replay(noises)), network_oracle)
    peer = DDIMScheduler(
        1000, 0.00085, 0.012, "scaled_linear", clip_sample=False, set_alpha_to_one=False, steps_offset=1
    )
    peer.set_timesteps(n)
    x = start
    for t, noise in zip(peer.timesteps, noises, strict=True):
        draw = noise if eta > 0 else None
        x = peer.step(network(x, t), int(t), x, eta=eta, variance_noise=draw).prev_sample
    torch.testing.assert_close(ours, x, rtol=1e-5, atol=3e-5)


@pytest.mark.parametrize("n", [1, 20, 1000])
def test_ddpm_is_the_peers(n: int, monkeypatch: pytest.MonkeyPatch):
    start, *noises = draws(4, n + 1)
    ours = drive(ddpm(start, SCHEDULE.grid("uniform", n), noise=replay(noises)), network_oracle)
    peer = DDPMScheduler(1000, 0.00085, 0.012, "scaled_linear", clip_sample=False, steps_offset=1)
    peer.set_timesteps(n)
    if n == 1000:
        peer.timesteps = torch.arange(999, -1, -1)  # an offset of 1 would run past the table
    draw = replay(noises)
    monkeypatch.setattr("diffusers.schedulers.scheduling_ddpm.randn_tensor", lambda *a, **k: draw())
    x = start
    for t in peer.timesteps:
        x = peer.step(network(x, t), int(t), x).prev_sample
    torch.testing.assert_close(ours, x, rtol=1e-4, atol=2e-4)


def test_eta_does_not_shift_later_randomness():
    counts = []
    for eta in (0.0, 1.0):
        generator = torch.Generator().manual_seed(0)
        grid = SCHEDULE.grid("uniform", 5, eta)

        def noise(generator: torch.Generator = generator) -> torch.Tensor:
            return torch.randn(SHAPE, generator=generator)

        drive(ddim(torch.zeros(SHAPE), grid, noise=noise), network_oracle)
        counts.append(torch.randn(1, generator=generator))
    assert torch.equal(*counts)


@pytest.mark.parametrize("sampler", [ddim, ddpm])
def test_projection_touches_the_estimate_and_not_the_argument(sampler: Sampler):
    start, *noises = draws(5, 6)
    before = start.clone()
    grid = SCHEDULE.grid("uniform", 5)
    clipped = drive(sampler(start, grid, noise=replay(noises), project=lambda x0: x0.clamp(-0.1, 0.1)), network_oracle)
    free = drive(sampler(start, grid, noise=replay(noises)), network_oracle)
    assert torch.equal(start, before)
    assert not torch.allclose(clipped, free)
    if sampler is ddpm:
        assert clipped.abs().max() <= 0.1


def test_replayed_answers_fork_a_run():
    start, *noises = draws(6, 9)
    grid = SCHEDULE.grid("uniform", 8, 1.0)
    final, inputs, predictions = record(ddim(start, grid, noise=replay(noises)), network_oracle)
    fork = ddim(start, grid, noise=replay(noises))
    model_input = next(fork)
    for prediction in predictions[:5]:
        model_input = fork.send(prediction)
    assert model_input.step == 5
    assert torch.equal(model_input.x, inputs[5].x)
    for prediction in predictions[5:-1]:
        fork.send(prediction)
    with pytest.raises(StopIteration) as end:
        fork.send(predictions[-1])
    assert torch.equal(end.value.value, final)
