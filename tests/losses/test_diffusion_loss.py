from __future__ import annotations

import numpy as np
import pytest
import torch
from diffusers import DDPMScheduler
from diffusers.training_utils import compute_snr

from ldm_core.config import Parameterization
from ldm_core.diffusion.schedule import NoiseSchedule
from ldm_core.losses.diffusion import DiffusionLoss, DiffusionLossConfig, bin_means, min_snr_weights
from ldm_core.presets import SD_SCHEDULE

SCHEDULE = NoiseSchedule.from_config(SD_SCHEDULE)
KINDS: tuple[Parameterization, ...] = ("eps", "x0", "v")


def drawn(n: int = 6) -> tuple[torch.Tensor, ...]:
    g = torch.Generator().manual_seed(0)
    z, noise, out = (torch.randn(n, 4, 8, 8, generator=g) for _ in range(3))
    return z, noise, out, torch.randint(0, 1000, (n,), generator=g)


def peer(kind: str = "epsilon") -> DDPMScheduler:
    return DDPMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        prediction_type=kind,
        num_train_timesteps=1000,
    )


def test_noising_and_v_are_diffusers():
    z, noise, _, t = drawn()
    loss = DiffusionLoss(DiffusionLossConfig(), SCHEDULE, "v")
    torch.testing.assert_close(loss.q_sample(z, t, noise), peer().add_noise(z, noise, t), atol=2e-6, rtol=1e-5)
    torch.testing.assert_close(loss.target(z, t, noise), peer().get_velocity(z, noise, t), atol=2e-6, rtol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("loss_type", ["l1", "l2"])
def test_simple_and_bound_terms(kind: Parameterization, loss_type: str):
    z, noise, out, t = drawn()
    config = DiffusionLossConfig(loss_type=loss_type, original_elbo_weight=0.3, l_simple_weight=0.7)
    loss, log = DiffusionLoss(config, SCHEDULE, kind)(out, z, t, noise, split="val")
    ab = torch.from_numpy(SCHEDULE.alphas_cumprod[t.numpy()]).float().view(-1, 1, 1, 1)
    target = {"eps": noise, "x0": z, "v": ab.sqrt() * noise - (1 - ab).sqrt() * z}[kind]
    function = torch.nn.functional.l1_loss if loss_type == "l1" else torch.nn.functional.mse_loss
    error = function(out, target, reduction="none").mean(dim=(1, 2, 3))
    vlb = (torch.from_numpy(SCHEDULE.lvlb_weights(kind)[t.numpy()]).float() * error).mean()
    torch.testing.assert_close(log["val/loss_simple"], error.mean())
    torch.testing.assert_close(log["val/loss_vlb"], vlb)
    torch.testing.assert_close(loss, 0.7 * error.mean() + 0.3 * vlb)
    assert set(log) == {"val/loss_simple", "val/loss_vlb", "val/loss"}


def test_min_snr_weights_against_diffusers_snr():
    snr = compute_snr(peer(), torch.arange(1000)).double().numpy()
    np.testing.assert_allclose(min_snr_weights(SCHEDULE.snr, 5.0, "eps"), np.minimum(snr, 5) / snr, rtol=1e-4)
    np.testing.assert_allclose(min_snr_weights(SCHEDULE.snr, 5.0, "v"), np.minimum(snr, 5) / (snr + 1), rtol=1e-4)
    assert (min_snr_weights(SCHEDULE.snr, 0.0, "v") == 1).all()


def test_min_snr_loss_does_not_depend_on_the_parameterization():
    """The same estimate of x0, told in three ways, costs the same."""
    z, noise, guess, t = drawn()
    ab = torch.from_numpy(SCHEDULE.alphas_cumprod[t.numpy()]).float().view(-1, 1, 1, 1)
    x = ab.sqrt() * z + (1 - ab).sqrt() * noise
    eps = (x - ab.sqrt() * guess) / (1 - ab).sqrt()
    told = {"x0": guess, "eps": eps, "v": ab.sqrt() * eps - (1 - ab).sqrt() * guess}
    config = DiffusionLossConfig(min_snr_gamma=5.0)
    losses = [float(DiffusionLoss(config, SCHEDULE, k)(told[k], z, t, noise)[0]) for k in KINDS]
    assert losses == pytest.approx([losses[0]] * 3, rel=1e-3)


def test_learned_logvar_settles_at_the_log_of_the_error():
    z, noise, out, t = drawn()
    loss = DiffusionLoss(DiffusionLossConfig(learn_logvar=True), SCHEDULE, "eps")
    optimizer = torch.optim.Adam([loss.logvar], lr=0.05)
    for _ in range(300):
        optimizer.zero_grad()
        loss(out, z, t, noise)[0].backward()
        optimizer.step()
    error = ((out - noise) ** 2).mean(dim=(1, 2, 3))
    torch.testing.assert_close(loss.logvar[t].detach(), error.log(), atol=1e-2, rtol=0)


def test_bins_are_means_of_their_range():
    t = torch.tensor([0, 49, 50, 999])
    bins = bin_means(torch.tensor([1.0, 3.0, 7.0, 9.0]), t, 1000)
    assert bins == {"bin_00": 2.0, "bin_01": 7.0, "bin_19": 9.0}


def test_bad_config_is_refused():
    with pytest.raises(ValueError, match="l3"):
        DiffusionLossConfig(loss_type="l3")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="-1"):
        DiffusionLossConfig(min_snr_gamma=-1)
