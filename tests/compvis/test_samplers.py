"""CompVis' other samplers and loops over batches, against the coroutines, diffusers and closed forms."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from diffusers import DPMSolverMultistepScheduler, PNDMScheduler
from torch import Tensor

from ldm_core.compvis import DDIMSampler, DPMSolverSampler, LatentDiffusion, PLMSSampler
from ldm_core.compvis.latent_diffusion import make_cond_schedule
from tests.compvis.stub import Stub, stirred
from tests.compvis.test_latent_diffusion import CONTEXT, OPTIONS, STAGE, UNET, batch, model, seeded
from tests.diffusion.oracles import SCHEDULE, network

SHAPE = (3, 4, 4)
BETAS = SCHEDULE.betas


def noise(n: int = 2) -> Tensor:
    return torch.randn(n, *SHAPE, generator=seeded())


@pytest.mark.parametrize("steps", [1, 2, 5, 20])
def test_plms_is_the_peers(steps: int) -> None:
    x = noise()
    ours, kept = PLMSSampler(Stub()).sample(steps, 2, SHAPE, x_T=x)
    peer = PNDMScheduler(1000, trained_betas=BETAS, skip_prk_steps=True, steps_offset=1, set_alpha_to_one=False)
    peer.set_timesteps(steps)
    for t in peer.timesteps:
        x = peer.step(network(x, t.float()), t, x).prev_sample
    torch.testing.assert_close(ours, x, rtol=2e-4, atol=2e-4)
    assert len(kept["x_inter"]) == len(kept["pred_x0"])


def test_plms_decodes_as_it_samples_whatever_it_has_seen() -> None:
    sampler, x = PLMSSampler(Stub()), noise()
    sampler.make_schedule(5, verbose=False)
    decoded = [sampler.decode(x, None, 5) for _ in range(2)]
    sampled, _ = sampler.sample(5, 2, SHAPE, x_T=x)
    assert torch.equal(*decoded) and torch.equal(decoded[0], sampled)


def test_plms_is_deterministic_and_guided() -> None:
    stub, c = Stub(), torch.ones(2, 1)
    sampler, asked = PLMSSampler(stub), {"x_T": noise(), "unconditional_conditioning": -c}
    guided, _ = sampler.sample(4, 2, SHAPE, c, unconditional_guidance_scale=3.0, **asked)
    # the stub adds the condition's mean: guidance of 3 between −1 and 1 is a condition of 5
    torch.testing.assert_close(guided, sampler.sample(4, 2, SHAPE, 5 * c, x_T=noise())[0])
    with pytest.raises(ValueError, match="eta must be 0"):
        sampler.sample(4, 2, SHAPE, eta=0.5)


@pytest.mark.parametrize("steps", [3, 9, 27])
def test_dpm_solver_is_the_peers(steps: int) -> None:
    """999 is a multiple of the steps, so that the solver's timesteps are whole and the peer has the same."""
    x = noise()
    ours, none = DPMSolverSampler(Stub()).sample(steps, 2, SHAPE, x_T=x)
    peer = DPMSolverMultistepScheduler(
        1000,
        trained_betas=BETAS,
        solver_order=2,
        algorithm_type="dpmsolver++",
        lower_order_final=True,
        timestep_spacing="linspace",
        final_sigmas_type="sigma_min",
    )
    peer.set_timesteps(steps)
    assert peer.timesteps.tolist() == [999 - i * 999 // steps for i in range(steps)]
    for t in peer.timesteps:
        x = peer.step(network(x, t.float()), t, x).prev_sample
    torch.testing.assert_close(ours, x, rtol=1e-3, atol=1e-3)
    assert none is None
    with pytest.raises(ValueError, match="takes no eta"):
        DPMSolverSampler(Stub()).sample(steps, 2, SHAPE, eta=1.0)


def test_stochastic_encode_and_decode() -> None:
    sampler = DDIMSampler(Stub())
    sampler.make_schedule(10)
    x0, t = torch.ones(2, *SHAPE), torch.tensor([3, 7])
    a = sampler.ddim_alphas[t].view(-1, 1, 1, 1)
    torch.testing.assert_close(
        sampler.stochastic_encode(x0, t, noise=noise()), a.sqrt() * x0 + (1 - a).sqrt() * noise()
    )
    whole, _ = sampler.sample(10, 2, SHAPE, x_T=noise())
    torch.testing.assert_close(sampler.decode(noise(), None, 10), whole)
    # to the level of the data and back, by a network that knows the data
    exact = Stub()
    exact.apply_model = lambda x, t, c=None: (x - a_of(t).sqrt()) / (1 - a_of(t)).sqrt()  # type: ignore[method-assign]
    knowing = DDIMSampler(exact)
    knowing.make_schedule(10, end_at_data=True)
    z = knowing.stochastic_encode(x0, torch.tensor([6, 6]), noise=noise())
    torch.testing.assert_close(knowing.decode(z, None, 7), x0, rtol=1e-4, atol=1e-4)
    with pytest.raises(ValueError, match="t_start"):
        sampler.decode(noise(), None, 11)


def a_of(t: Tensor) -> Tensor:
    return torch.from_numpy(SCHEDULE.alphas_cumprod).float()[t].view(-1, 1, 1, 1)


# -- the ancestral loop ------------------------------------------------------------------------------------------------


def test_latents_are_never_clipped() -> None:
    """Whatever the option says, as in CompVis' code: latents lie beyond [-1,1]."""
    for options in ({}, {"clip_denoised": True}):
        m = model(**options)
        assert m.clip_denoised is False
        x = 3 * torch.randn(2, 4, 8, 8, generator=seeded())
        mean = m.p_mean_variance(x, None, torch.tensor([5, 5]), m.clip_denoised, return_x0=True)
        assert float(mean[3].detach().abs().max()) > 1


def test_loop_options() -> None:
    m = model()
    x, seen = torch.randn(2, 4, 8, 8, generator=seeded(3)), []
    whole = m.p_sample_loop(None, (2, 4, 8, 8), x_T=x, generator=seeded())
    _, kept = m.p_sample_loop(None, (2, 4, 8, 8), True, x_T=x, generator=seeded(), log_every_t=5, callback=seen.append)
    assert seen == list(reversed(range(20)))
    assert len(kept) == 1 + 1 + 4  # the start, T − 1, and 15, 10, 5, 0
    torch.testing.assert_close(kept[-1], whole)
    for options in ({"timesteps": 7}, {"start_T": 7}, {"timesteps": 9, "start_T": 7}):
        seen.clear()
        m.p_sample_loop(
            None, (2, 4, 8, 8), x_T=x, generator=seeded(), img_callback=lambda _, i: seen.append(i), **options
        )
        assert seen == list(reversed(range(7)))
    with pytest.raises(ValueError, match="timesteps and start_T"):
        m.p_sample_loop(None, (2, 4, 8, 8), timesteps=-1)


def test_a_mask_keeps_where_it_is_one() -> None:
    m, x0 = model(), torch.randn(2, 4, 8, 8, generator=seeded(1))
    mask = torch.zeros(2, 1, 8, 8)
    mask[..., :4] = 1.0
    out = m.p_sample_loop(None, (2, 4, 8, 8), mask=mask, x0=x0, generator=seeded())
    # the last blend is at t = 0, where CompVis' code still noises a little
    torch.testing.assert_close(out[..., :4], x0[..., :4], atol=0.1, rtol=0.1)
    assert not torch.allclose(out[..., 4:], x0[..., 4:], atol=0.5)
    with pytest.raises(ValueError, match="needs x0"):
        m.p_sample_loop(None, (2, 4, 8, 8), mask=mask)


class Corrector:
    def modify_score(self, _model: Any, eps: Tensor, *_: Any, by: float) -> Tensor:
        return eps + by


def test_temperature_corrector_and_estimates() -> None:
    m, x, t = model(), torch.randn(2, 4, 8, 8, generator=seeded()), torch.tensor([9, 9])
    cold, x0 = m.p_sample(x, None, t, temperature=0.0, return_x0=True)
    mean, *_ = m.p_mean_variance(x, None, t, False)
    torch.testing.assert_close(cold, mean)
    torch.testing.assert_close(x0, m.predict_start_from_noise(x, t, m.apply_model(x, t)))
    moved = m.p_mean_variance(
        x, None, t, False, return_x0=True, score_corrector=Corrector(), corrector_kwargs={"by": 0.5}
    )
    torch.testing.assert_close(moved[3], m.predict_start_from_noise(x, t, m.apply_model(x, t) + 0.5))
    with pytest.raises(ValueError, match="needs parameterization 'eps'"):
        model(parameterization="x0").p_sample(x, None, t, score_corrector=Corrector())


def test_progressive_denoising_keeps_the_estimates() -> None:
    m = model()
    whole = m.p_sample_loop(None, (2, 4, 8, 8), generator=seeded())
    x, estimates = m.progressive_denoising(None, (4, 8, 8), batch_size=2, log_every_t=10, generator=seeded())
    torch.testing.assert_close(x, whole)
    assert len(estimates) == 3
    torch.testing.assert_close(estimates[-1], x)  # at t = 0 the posterior's mean is the estimate


# -- the condition's own schedule --------------------------------------------------------------------------------------


def test_one_level_of_the_condition_is_no_op() -> None:
    assert make_cond_schedule(1, 20) is None
    for given in (None, 1):
        assert model(num_timesteps_cond=given).cond_ids is None
    with pytest.raises(ValueError, match="num_timesteps_cond"):
        make_cond_schedule(21, 20)


def test_a_shortened_schedule_noises_the_condition() -> None:
    ids = make_cond_schedule(5, 20)
    assert ids is not None
    assert ids.tolist() == [0, 5, 10, 14, 19] + [19] * 15
    m: LatentDiffusion = model(None, CONTEXT, conditioning_key="crossattn", num_timesteps_cond=5)
    c, t = torch.ones(2, 3, 32), torch.tensor([0, 2])
    noised = m.noise_condition(c, t, seeded())
    a = m.alphas_cumprod[torch.tensor([0, 10])].view(-1, 1, 1)
    torch.testing.assert_close(noised, a.sqrt() * c + (1 - a).sqrt() * torch.randn(c.shape, generator=seeded()))
    loss, _ = m(torch.zeros(2, 4, 8, 8), c, generator=seeded())
    assert torch.isfinite(loss)


def test_log_images_by_compvis_names() -> None:
    m = model(log_every_t=10).eval()
    found = m.log_images(batch(), ddim_steps=2, plot_denoise_rows=True, generator=seeded())
    assert found.keys() == {
        "inputs",
        "reconstruction",
        "diffusion_row",
        "samples",
        "denoise_row",
        "mask",
        "samples_inpainting",
        "samples_outpainting",
        "progressive_row",
    }
    assert found["samples"].shape == found["inputs"].shape == (2, 3, 16, 16)
    assert found["diffusion_row"].shape == (6, 3, 16, 16), "three levels of two pictures"
    assert m.log_images(batch(), sample=False, plot_progressive_rows=False, return_keys=["inputs"]).keys() == {"inputs"}


@pytest.mark.parametrize("steps", [2, None])
def test_log_images_of_a_codebook_and_of_a_picture_as_condition(steps: int | None) -> None:
    stage = replace(STAGE, kind="vq", double_z=False, n_embed=16)
    torch.manual_seed(0)
    m = stirred(LatentDiffusion(stage, "__is_first_stage__", replace(UNET, in_channels=8), **OPTIONS)).eval()
    given = torch.rand(2, 16, 16, 3, generator=seeded(1)) * 2 - 1
    m.cond_stage_key = "sketch"
    asked = {"ddim_steps": steps, "inpaint": False, "plot_progressive_rows": False, "generator": seeded()}
    found = m.log_images(batch(sketch=given), **asked)
    torch.testing.assert_close(found["conditioning"], given.permute(0, 3, 1, 2))
    assert found["samples_x0_quantized"].shape == found["samples"].shape
    assert "samples_x0_quantized" not in m.log_images(batch(sketch=given), quantize_denoised=False, **asked)
