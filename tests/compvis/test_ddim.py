from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler
from torch import Tensor

from ldm_core.compvis import DDIMSampler
from ldm_core.diffusion.inpainting import MASK_STREAM
from ldm_core.diffusion.sample_loop import drive
from ldm_core.diffusion.samplers import ddim
from ldm_core.diffusion.schedule import make_ddim_timesteps
from tests.compvis.stub import Stub
from tests.diffusion.oracles import SCHEDULE, SHAPE, draws, network, network_oracle, replay

B = 2


def sampler(parameterization: str = "eps") -> DDIMSampler:
    return DDIMSampler(Stub(parameterization))  # type: ignore[arg-type]


def batch(seed: int, n: int = B) -> Tensor:
    return torch.stack(draws(seed, n))


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("kind", ["uniform", "quad"])
def test_named_arrays(kind: str):
    s = sampler()
    s.make_schedule(10, kind, 0.7, verbose=False)  # type: ignore[arg-type]
    steps = make_ddim_timesteps(kind, 10, 1000)  # type: ignore[arg-type]
    np.testing.assert_array_equal(s.ddim_timesteps, steps)
    a = SCHEDULE.alphas_cumprod
    prev = np.concatenate([a[:1], a[steps[:-1]]])
    sigma = 0.7 * np.sqrt((1 - prev) / (1 - a[steps])) * np.sqrt(1 - a[steps] / prev)
    np.testing.assert_allclose(s.ddim_alphas, a[steps], rtol=1e-6)
    np.testing.assert_allclose(s.ddim_alphas_prev, prev, rtol=1e-6)
    np.testing.assert_allclose(s.ddim_sigmas, sigma, rtol=1e-5)
    np.testing.assert_allclose(s.ddim_sqrt_one_minus_alphas, np.sqrt(1 - a[steps]), rtol=1e-4)
    full_prev = np.concatenate([[1.0], a[:-1]])
    original = 0.7 * np.sqrt((1 - full_prev) / (1 - a) * (1 - a / full_prev))
    np.testing.assert_allclose(s.ddim_sigmas_for_original_num_steps, original, rtol=1e-5)
    for name, value in SCHEDULE.buffers().items():
        assert torch.equal(getattr(s, name), value)


@pytest.mark.parametrize("to_one", [False, True])
def test_the_end_is_the_peers_either_way(to_one: bool):
    peer = DDIMScheduler(
        1000, 0.00085, 0.012, "scaled_linear", clip_sample=False, set_alpha_to_one=to_one, steps_offset=1
    )
    peer.set_timesteps(10)
    x = theirs = batch(0)
    for t in peer.timesteps:
        theirs = peer.step(network(theirs, t.float()), t, theirs).prev_sample
    ours, _ = sampler().sample(10, B, SHAPE, x_T=x, end_at_data=to_one)
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("eta", [0.0, 1.0])
def test_the_coroutine_and_the_door_walk_the_same_path(eta: float):
    x, *noises = draws(0, 11)
    door, _ = sampler().sample(10, 1, SHAPE, x_T=x[None], eta=eta, normals_sequence=[n[None] for n in noises])
    coroutine = drive(ddim(x, SCHEDULE.grid("uniform", 10, eta), noise=replay(noises)), network_oracle)
    torch.testing.assert_close(door[0], coroutine, rtol=1e-5, atol=1e-5)
    generator = seeded(5)
    own, _ = sampler().sample(10, 1, SHAPE, eta=eta, generator=seeded(5))

    def noise() -> Tensor:
        return torch.randn((1, *SHAPE), generator=generator)[0]

    coroutine = drive(ddim(noise(), SCHEDULE.grid("uniform", 10, eta), noise=noise), network_oracle)
    torch.testing.assert_close(own[0], coroutine, rtol=1e-5, atol=1e-5)


def test_guidance_against_the_peer():
    x, c, u = batch(1), torch.randn(B, 3, 7, generator=seeded(2)), torch.zeros(B, 3, 7)
    ours, _ = sampler().sample(
        20, B, SHAPE, c, x_T=x, unconditional_guidance_scale=4.0, unconditional_conditioning=u, verbose=False
    )
    peer = DDIMScheduler(
        1000, 0.00085, 0.012, "scaled_linear", clip_sample=False, set_alpha_to_one=False, steps_offset=1
    )
    peer.set_timesteps(20)
    for t in peer.timesteps:
        base = network(x, t)
        eps = base + 4.0 * c.flatten(1).mean(1)[:, None, None, None]
        x = peer.step(eps, int(t), x).prev_sample
    torch.testing.assert_close(ours, x, rtol=1e-4, atol=1e-4)


def test_guidance_costs_a_second_row_only_where_it_is_used():
    stub = Stub()
    c = torch.ones(B, 3, 7)
    s = DDIMSampler(stub)  # type: ignore[arg-type]
    s.sample(1, B, SHAPE, c, unconditional_conditioning=c)
    s.sample(1, B, SHAPE, c, unconditional_conditioning=c, unconditional_guidance_scale=2.0)
    assert [len(x) for x, _, _ in stub.calls] == [B, 2 * B]


def test_conditions_may_be_dicts_of_lists():
    tensor = torch.randn(B, 3, 7, generator=seeded())
    zero = torch.zeros_like(tensor)

    def run(c: Any, u: Any) -> Tensor:
        return sampler().sample(
            3, B, SHAPE, c, x_T=batch(1), unconditional_conditioning=u, unconditional_guidance_scale=3.0
        )[0]

    plain = run(tensor, zero)
    assert torch.equal(plain, run({"c_crossattn": [tensor]}, {"c_crossattn": [zero]}))


@pytest.mark.parametrize("wrong", [torch.zeros(3, 4, 5), {"c_crossattn": [torch.zeros(3, 4, 5)]}, [torch.zeros(1, 4)]])
def test_a_condition_of_another_batch_size_is_refused(wrong: Any):
    with pytest.raises(ValueError, match="batch_size is 2"):
        sampler().sample(3, B, SHAPE, wrong)
    with pytest.raises(ValueError, match="unconditional_conditioning"):
        sampler().sample(3, B, SHAPE, None, unconditional_conditioning=wrong)


def test_intermediates_and_callbacks():
    seen: list[int] = []
    images: list[tuple[int, Tensor]] = []
    x = batch(3)
    final, kept = sampler().sample(
        10, B, SHAPE, x_T=x, log_every_t=4, callback=seen.append, img_callback=lambda p, i: images.append((i, p))
    )
    assert seen == list(range(10)) == [i for i, _ in images]
    # the start, index 9 (the first step), then 8, 4 and 0
    assert kept.keys() == {"x_inter", "pred_x0"}
    assert len(kept["x_inter"]) == len(kept["pred_x0"]) == 5
    assert torch.equal(kept["x_inter"][0], x)
    assert torch.equal(kept["x_inter"][-1], final)
    assert torch.equal(kept["pred_x0"][-1], images[-1][1])


def test_a_mask_keeps_where_it_is_one():
    """Where the mask is 1, x before every question is q(x_t | x0)."""
    stub, x0 = Stub(), batch(4)
    mask = torch.zeros(1, 1, *SHAPE[1:])
    mask[..., :2] = 1.0
    s = DDIMSampler(stub)  # type: ignore[arg-type]
    s.sample(5, B, SHAPE, mask=mask, x0=x0, generator=seeded(7))
    side = seeded(7 ^ MASK_STREAM)
    for x, t, _ in stub.calls:
        a = SCHEDULE.alphas_cumprod[int(t[0])]
        expected = a**0.5 * x0 + (1 - a) ** 0.5 * torch.randn(x0.shape, generator=side)
        torch.testing.assert_close(x[..., :2], expected[..., :2], rtol=1e-5, atol=1e-5)
    with pytest.raises(ValueError, match="needs x0"):
        s.sample(5, B, SHAPE, mask=mask)


def test_masks_and_dropout_shift_no_randomness():
    def last_draw(**options: Any) -> Tensor:
        generator = seeded(1)
        sampler().sample(4, B, SHAPE, eta=1.0, generator=generator, **options)
        return torch.randn(1, generator=generator)

    plain = last_draw()
    assert torch.equal(plain, last_draw(mask=torch.ones(1, 1, 1, 1), x0=batch(0)))
    assert torch.equal(plain, last_draw(noise_dropout=0.5))


def test_a_subset_loses_its_last_step_as_published_unless_told():
    s = sampler()
    s.make_schedule(10)

    def walked(n: int, **options: Any) -> list[int]:
        s.model.calls.clear()  # type: ignore[attr-defined]
        s.ddim_sampling(None, (B, *SHAPE), x_T=batch(0), timesteps=n, **options)
        return [int(t[0]) for _, t, _ in s.model.calls]  # type: ignore[attr-defined]

    assert walked(4) == [201, 101, 1]
    assert walked(4, whole_subset=True) == [301, 201, 101, 1]
    assert walked(99, whole_subset=True) == s.ddim_timesteps[::-1].tolist()
    assert len(walked(10)) == 9
    with pytest.raises(ValueError, match="whole_subset"):
        walked(1)


@pytest.mark.parametrize("eta", [0.0, 1.0])
def test_original_steps_end_at_the_data(eta: float):
    """Every t below `timesteps` once; the last ᾱ_prev is 1 there, so the last x is the estimate of x0."""
    s = sampler()
    s.make_schedule(10, ddim_eta=eta)
    seen: list[Tensor] = []
    final, _ = s.ddim_sampling(
        None,
        (B, *SHAPE),
        x_T=batch(0),
        ddim_use_original_steps=True,
        timesteps=30,
        img_callback=lambda p, i: seen.append(p),
        generator=seeded(),
    )
    assert [int(t[0]) for _, t, _ in s.model.calls] == list(range(29, -1, -1))  # type: ignore[attr-defined]
    torch.testing.assert_close(final, seen[-1])
    with pytest.raises(ValueError, match="1001"):
        s.ddim_sampling(None, (B, *SHAPE), ddim_use_original_steps=True, timesteps=1001)


def step(s: DDIMSampler, x: Tensor, index: int = 5, **options: Any) -> tuple[Tensor, Tensor]:
    t = torch.full((len(x),), int(s.ddim_timesteps[index]))
    return s.p_sample_ddim(x, None, t, index, **options)


def test_temperature_repeat_noise_dropout():
    s, x = sampler(), batch(0)
    s.make_schedule(10, ddim_eta=1.0)
    still, _ = step(s, x, temperature=0.0)
    one, _ = step(s, x, noise=torch.ones_like(x))
    two, _ = step(s, x, noise=torch.ones_like(x), temperature=2.0)
    torch.testing.assert_close(two - still, 2 * (one - still), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(one - still, s.ddim_sigmas[5].expand_as(x), rtol=1e-4, atol=1e-5)
    repeated, _ = step(s, x, repeat_noise=True, generator=seeded())
    noise = repeated - still
    torch.testing.assert_close(noise[0], noise[1])
    dropped, _ = step(s, x, noise_dropout=0.5, noise=torch.ones_like(x), side_generator=seeded())
    values = ((dropped - still) / s.ddim_sigmas[5]).round().unique().tolist()
    assert values == [0.0, 2.0]


def test_quantised_estimates_leave_the_direction_alone():
    s, x = sampler(), batch(0)
    s.make_schedule(10)
    plain, x0 = step(s, x)
    quantised, q = step(s, x, quantize_denoised=True)
    assert torch.equal(q, (2 * x0).round() / 2)
    torch.testing.assert_close(quantised - plain, s.ddim_alphas_prev[5].sqrt() * (q - x0), rtol=1e-4, atol=1e-4)


def test_the_score_corrector_sees_everything_and_changes_eps():
    class Halve:
        def modify_score(self, model: Any, e_t: Tensor, x: Tensor, t: Tensor, c: Any, factor: float) -> Tensor:
            assert model is s.model
            assert e_t.shape == x.shape
            assert t.shape == (B,)
            return factor * e_t

    s, x = sampler(), batch(0)
    s.make_schedule(10)
    _, x0 = step(s, x, score_corrector=Halve(), corrector_kwargs={"factor": 0.5})
    a = s.ddim_alphas[5]
    eps = 0.5 * network(x, float(s.ddim_timesteps[5]))
    torch.testing.assert_close(x0, (x - (1 - a).sqrt() * eps) / a.sqrt(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", ["x0", "v"])
def test_models_of_other_words(kind: str):
    """The published loop takes any model's word for eps; here it is converted."""
    theirs = {"x0": "sample", "v": "v_prediction"}[kind]
    x = batch(1)
    ours, _ = sampler(kind).sample(10, B, SHAPE, x_T=x)
    peer = DDIMScheduler(1000, 0.00085, 0.012, "scaled_linear", None, False, False, 1, prediction_type=theirs)
    peer.set_timesteps(10)
    for t in peer.timesteps:
        x = peer.step(network(x, t), int(t), x).prev_sample
    torch.testing.assert_close(ours, x, rtol=1e-4, atol=1e-4)
