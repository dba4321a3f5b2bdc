from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import lpips
import numpy as np
import pytest
import torch
from scipy.integrate import quad
from torch import nn

from ldm_core.losses.autoencoder import (
    AUTOENCODER,
    DISCRIMINATOR,
    AutoencoderLossConfig,
    KLAutoencoderLoss,
    Reconstruction,
    gradient_l1,
)
from ldm_core.losses.gan import adaptive_weight, adopt_weight, hinge_d_loss, vanilla_d_loss
from ldm_core.losses.perceptual import make_lpips
from ldm_core.models.distribution import DiagonalGaussianDistribution

TERMS = {"total_loss", "logvar", "kl_loss", "nll_loss", "rec_loss", "d_weight", "disc_factor", "g_loss"}


def small(**changes: object) -> KLAutoencoderLoss:
    values = {"perceptual_trunk": "", "disc_ndf": 8, "disc_num_layers": 2, "disc_start": 0, **changes}
    torch.manual_seed(0)
    return KLAutoencoderLoss(AutoencoderLossConfig(**values))  # type: ignore[arg-type]


@pytest.fixture
def made() -> Reconstruction:
    g = torch.Generator().manual_seed(1)
    x, y = (torch.rand(2, 3, 32, 32, generator=g) * 2 - 1 for _ in range(2))
    return Reconstruction(x, y.requires_grad_(), DiagonalGaussianDistribution(torch.randn(2, 8, 4, 4, generator=g)))


def test_published_defaults():
    c = AutoencoderLossConfig()
    assert (c.disc_start, c.kl_weight, c.disc_weight) == (50001, 1e-6, 0.5)


@pytest.mark.parametrize(("mean", "std"), [(0.3, 0.8), (-1.5, 2.0)])
def test_discriminator_losses_are_their_integrals(mean: float, std: float):
    g = torch.Generator().manual_seed(0)
    real, fake = (torch.randn(400_000, generator=g, dtype=torch.float64) * std + m for m in (mean, -mean))

    def expect(f: Callable[[float], float], m: float) -> float:
        density = lambda d: math.exp(-0.5 * ((d - m) / std) ** 2) / (std * math.sqrt(2 * math.pi))  # noqa: E731
        return quad(lambda d: f(d) * density(d), m - 9 * std, m + 9 * std, limit=200)[0]

    # symmetric means: the fake term at −mean equals the real term at mean
    hinge = expect(lambda d: max(0, 1 - d), mean)
    vanilla = expect(lambda d: math.log1p(math.exp(-d)), mean)
    assert float(hinge_d_loss(real, fake)) == pytest.approx(hinge, rel=5e-3)
    assert float(vanilla_d_loss(real, fake)) == pytest.approx(vanilla, rel=5e-3)


def test_adopt_weight_switches_at_the_threshold():
    assert [adopt_weight(0.7, s, threshold=5, value=0.1) for s in (0, 4, 5, 6)] == [0.1, 0.1, 0.7, 0.7]


def test_adaptive_weight_by_hand():
    w = torch.tensor([3.0, 4.0], requires_grad=True)
    nll, g = (w**2).sum(), (w * torch.tensor([0.6, 0.8])).sum()  # gradients 2w (norm 10) and a unit vector
    assert float(adaptive_weight(nll, g, w)) == pytest.approx(10 / (1 + 1e-4), rel=1e-6)
    assert float(adaptive_weight(nll, 0 * g, w)) == pytest.approx(1e4)  # clamped


def test_nll_sums_over_pixels_and_averages_over_samples(made: Reconstruction):
    x, y, posterior = made.inputs, made.outputs, made.latent
    loss = small(logvar_init=0.5, learn_logvar=True, disc_start=100)
    total, log = loss.player_loss(AUTOENCODER, made, 0)
    expected = ((x - y).abs() / math.exp(0.5) + 0.5).sum() / 2
    normal = torch.distributions.Normal(posterior.mean, posterior.std)
    kl = torch.distributions.kl_divergence(normal, torch.distributions.Normal(0.0, 1.0)).sum() / 2
    torch.testing.assert_close(log["train/nll_loss"], expected.detach())
    torch.testing.assert_close(log["train/kl_loss"], kl)
    torch.testing.assert_close(total, expected + 1e-6 * kl)
    assert set(log) == {f"train/{n}" for n in TERMS}


def test_weights_scale_the_loss_but_not_the_logged_nll(made: Reconstruction):
    x, y = made.inputs, made.outputs
    loss = small(disc_start=100, kl_weight=0.0)
    mask = torch.zeros(2, 1, 32, 32)
    mask[..., :8] = 2.0
    total, log = loss.player_loss(AUTOENCODER, replace(made, weights=mask), 0)
    torch.testing.assert_close(total, (mask * (x - y).abs()).sum() / 2)
    torch.testing.assert_close(log["train/nll_loss"], (x - y).abs().detach().sum() / 2)


def test_lpips_term_is_lpips(made: Reconstruction):
    x, y = made.inputs, made.outputs
    loss = small(disc_start=100, perceptual_trunk="random", perceptual_net="alex", perceptual_weight=0.5, kl_weight=0.0)
    peer = lpips.LPIPS(net="alex", pnet_rand=True, verbose=False).eval()
    peer.load_state_dict(loss.perceptual_loss.state_dict())
    distance = peer(x, y).detach()
    rec = loss.player_loss(AUTOENCODER, made, 0)[1]["train/rec_loss"]
    torch.testing.assert_close(rec, ((x - y).abs() + 0.5 * distance).mean().detach())


def test_trunk_from_a_file(tmp_path: Path):
    from torchvision.models import alexnet

    torch.manual_seed(3)
    trunk = alexnet(weights=None)
    torch.save(trunk.state_dict(), tmp_path / "alexnet.pth")
    model = make_lpips(str(tmp_path / "alexnet.pth"), "alex")
    assert torch.equal(model.net.state_dict()["slice2.3.weight"], trunk.features[3].weight)
    torch.save({"features.0.weight": trunk.features[0].weight}, tmp_path / "other.pth")
    with pytest.raises(ValueError, match="no alex trunk"):
        make_lpips(str(tmp_path / "other.pth"), "alex")


def test_generator_branch(made: Reconstruction):
    x, y, posterior = made.inputs, made.outputs, made.latent
    last = nn.Parameter(torch.ones(()))
    y = y * last
    loss = small()
    total, log = loss.player_loss(AUTOENCODER, replace(made, outputs=y), 0, last)
    g = -loss.discriminator(y).mean()
    nll = (x - y).abs().sum() / 2
    grads = [torch.autograd.grad(v, last, retain_graph=True)[0].abs() for v in (nll, g)]
    d_weight = 0.5 * (grads[0] / (grads[1] + 1e-4)).clamp(0, 1e4)
    torch.testing.assert_close(log["train/d_weight"], d_weight, rtol=1e-4, atol=0)
    torch.testing.assert_close(total, nll + 1e-6 * posterior.kl().mean() + d_weight * g, rtol=1e-4, atol=0)


def test_without_gradients_d_weight_is_zero(made: Reconstruction):
    with torch.no_grad():
        _, log = small().player_loss(AUTOENCODER, made, 0, torch.ones(()), split="val")
    assert float(log["val/d_weight"]) == 0
    assert float(log["val/g_loss"]) != 0


def test_discriminator_branch_sees_detached_images(made: Reconstruction):
    x, y = made.inputs, made.outputs
    loss = small(disc_factor=0.8)
    value, log = loss.player_loss(DISCRIMINATOR, made, 0)
    value.backward()
    assert y.grad is None
    real, fake = loss.discriminator(x), loss.discriminator(y)
    torch.testing.assert_close(value.detach(), 0.8 * hinge_d_loss(real, fake).detach())
    assert set(log) == {"train/disc_loss", "train/logits_real", "train/logits_fake"}


def test_discriminator_is_not_run_before_disc_start(made: Reconstruction):
    loss = small(disc_start=10)
    loss.discriminator.forward = None  # would raise if called
    total, log = loss.player_loss(AUTOENCODER, made, 9, torch.ones(()))
    value, disc_log = loss.player_loss(DISCRIMINATOR, made, 9)
    assert total.requires_grad and not value.requires_grad
    both = {**log, **disc_log}
    assert [float(both[f"train/{n}"]) for n in ("g_loss", "d_weight", "logits_real", "logits_fake")] == [0, 0, 0, 0]


def test_conditional_discriminator(made: Reconstruction):
    loss = small(disc_conditional=True, disc_in_channels=5)
    value, _ = loss.player_loss(DISCRIMINATOR, replace(made, cond=torch.zeros(2, 2, 32, 32)), 0)
    assert value.requires_grad
    with pytest.raises(ValueError, match="cond"):
        loss.player_loss(DISCRIMINATOR, made, 0)


def test_gradient_l1_of_a_ramp():
    ramp = torch.arange(16.0).expand(1, 3, 16, 16) * 0.25
    # slope per pixel 0.25 at full size, 0.5 between 2-pixel boxes, 1.0 between 4-pixel boxes; nothing downwards
    assert float(gradient_l1(ramp)) == pytest.approx((0.25 + 0.5 + 1.0) / 3)
    assert float(gradient_l1(torch.full((1, 3, 16, 16), 0.7))) == 0


def test_bad_config_is_refused():
    with pytest.raises(ValueError, match="wgan"):
        AutoencoderLossConfig(disc_loss="wgan")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="kl_weight"):
        AutoencoderLossConfig(kl_weight=-1.0)
    assert np.isclose(AutoencoderLossConfig(perceptual_weight=0.0).perceptual_weight, 0)
    assert AutoencoderLossConfig(perceptual_weight=0.0).trunk_name == "off"


def test_own_terms_by_hand():
    x, y = torch.zeros(1, 3, 16, 16), torch.zeros(1, 3, 16, 16)
    y[..., :8, :8] = 0.5  # one box of four
    y[..., 8::2, :] = 0.2
    y[..., 9::2, :] = -0.2  # boxes of mean zero
    for term, expected in (("mse_weight", 2 * (0.25 * 0.25 + 0.5 * 0.04)), ("coarse_weight", 2 * 0.25 * 0.25)):
        loss = small(disc_start=9, pixelloss_weight=0.0, **{term: 2.0})
        assert float(loss.reconstruction_error(x, y).mean()) == pytest.approx(expected)
