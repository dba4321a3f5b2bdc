"""Every number of docs/where-the-reference-is-wrong.md."""

from __future__ import annotations

import contextlib
import io
import math

import lpips
import numpy as np
import pytest
import torch
from torch import nn

from ldm_core.diffusion.denoiser import ModelInput
from ldm_core.diffusion.gaussian import Prediction
from ldm_core.diffusion.sample_loop import drive
from ldm_core.diffusion.samplers import ddim
from ldm_core.diffusion.schedule import NoiseSchedule, make_beta_schedule, make_ddim_timesteps
from ldm_core.losses.autoencoder import AutoencoderLossConfig, KLAutoencoderLoss
from ldm_core.models.attention import SpatialTransformer
from ldm_core.models.distribution import DiagonalGaussianDistribution
from tests.diffusion.oracles import SCHEDULE, draws

T, START, END = 1000, 0.00085, 0.012
t = np.arange(T)
A = SCHEDULE.alphas_cumprod


def text_sqrt_linear(over: int) -> np.ndarray:
    return (START**0.5 + t / over * (END**0.5 - START**0.5)) ** 2


def test_linear_is_linear_in_the_root():
    line = START + t / (T - 1) * (END - START)
    np.testing.assert_allclose(SCHEDULE.betas, text_sqrt_linear(T - 1), rtol=1e-12)
    np.testing.assert_allclose(make_beta_schedule("sqrt_linear", T, START, END), line, rtol=1e-12)
    assert (SCHEDULE.betas[500], line[500]) == pytest.approx((0.00481, 0.00643), rel=2e-3)
    assert (A[-1] ** 0.5, np.prod(1 - line) ** 0.5) == pytest.approx((0.0683, 0.0397), rel=2e-3)


def test_dividing_by_one_too_many():
    over = text_sqrt_linear(T)
    assert over[-1] == pytest.approx(0.011982, rel=1e-4)
    assert (np.prod(1 - over) ** 0.5, A[-1] ** 0.5) == pytest.approx((0.06849, 0.06826), rel=2e-4)


def test_cosine():
    s = 0.008
    f = np.cos((np.arange(T + 1) / T + s) / (1 + s) * math.pi / 2) ** 2
    literal = 1 - f[:-1] / f[0]
    betas = make_beta_schedule("cosine", T)
    a = np.cumprod(1 - betas)
    assert (literal[500], betas[500]) == pytest.approx((0.506, 0.00316), rel=2e-3)
    assert np.prod(1 - literal[:501]) == pytest.approx(3.16e-50, rel=1e-2)
    assert (1 - betas[500], a[500]) == pytest.approx((0.997, 0.492), rel=1e-3)
    assert (A[500], A[500] / (1 - A[500]), a[500] / (1 - a[500])) == pytest.approx((0.276, 0.38, 0.97), rel=6e-3)
    assert tuple(a[-2:] ** -0.5) == pytest.approx((642, 20291), rel=1e-3)


def test_weights_and_the_nan_check():
    assert SCHEDULE.lvlb_weights("eps")[:2] == pytest.approx([0.503, 0.503], rel=1e-3)
    schedule = NoiseSchedule(np.array([0.1, 0.0, 0.1]))
    with np.errstate(invalid="ignore", divide="ignore"):
        w = schedule.betas**2 / (2 * schedule.posterior_variance * (1 - schedule.betas) * (1 - schedule.alphas_cumprod))
    w[0] = w[1]
    assert np.isnan(w).any()
    assert not np.isnan(w).all()
    with pytest.raises(ValueError, match="NaN"):
        schedule.lvlb_weights("eps")


def published_uniform(n: int) -> np.ndarray:
    return np.arange(0, T, T // n) + 1


def test_published_grids():
    assert len(published_uniform(7)) == 8
    assert len(published_uniform(600)) == 1000
    assert published_uniform(3)[-1] == T
    assert sum(len(published_uniform(n)) != n for n in range(1, T + 1)) == 984
    assert sum(published_uniform(n)[-1] > T - 1 for n in range(1, T + 1)) == 599

    def different(n: int) -> int:
        return len(set((np.linspace(0, math.sqrt(0.8 * T), n) ** 2).astype(int)))

    assert min(n for n in range(2, T) if different(n) < n) == 30
    assert different(100) == 96


def test_the_lost_step():
    grid = make_ddim_timesteps("uniform", 50, T)
    assert (grid[24], grid[23]) == (481, 461)
    assert (A[481] ** 0.5, A[461] ** 0.5) == pytest.approx((0.550, 0.575), rel=1e-3)


def test_image_to_image_noises_one_entry_too_far():
    grid, t_enc = make_ddim_timesteps("uniform", 50, T), int(0.75 * 50)
    assert (grid[t_enc], grid[t_enc - 1]) == (741, 721)
    assert (A[741] ** 0.5, A[721] ** 0.5) == pytest.approx((0.2457, 0.2655), abs=5e-5)
    assert int(1.0 * 50) == len(grid), "one past the end"


def test_lpips_in_training_mode_is_no_distance():
    torch.manual_seed(0)
    a, b = draws(0, 2, (1, 3, 64, 64))
    with contextlib.redirect_stdout(io.StringIO()):
        peer = lpips.LPIPS(net="squeeze", pnet_rand=True, verbose=False)
    assert {m.p for m in peer.modules() if isinstance(m, torch.nn.Dropout)} >= {0.5}
    assert float(peer.train()(a, b)) != float(peer(a, b))
    assert float(peer.eval()(a, b)) == float(peer(a, b))


def test_where_the_grid_begins():
    uniform, trailing = (make_ddim_timesteps(kind, 25, T)[-1] for kind in ("uniform", "trailing"))
    assert (uniform, trailing) == (961, 999)
    assert (A[uniform] ** 0.5, A[trailing] ** 0.5) == pytest.approx((0.0853, 0.0683), rel=1e-3)


def test_noise_left_at_the_end():
    z, noise = draws(0, 2, (4, 64, 64))

    def perfect(model_input: ModelInput) -> Prediction:
        a = SCHEDULE.alpha_bar_at(model_input.t)
        return Prediction((model_input.x - a.sqrt() * z) / (1 - a).sqrt(), z)

    for end_at_data, left in ((False, 0.0292), (True, 0.0)):
        grid = SCHEDULE.grid("uniform", 10, end_at_data=end_at_data)
        x = grid.alpha_bar[0].sqrt() * z + (1 - grid.alpha_bar[0]).sqrt() * noise
        end = drive(ddim(x, grid, noise=lambda: torch.zeros_like(z)), perfect)
        kept = SCHEDULE.alphas_cumprod[0] ** 0.5 if not end_at_data else 1.0
        assert float((end - kept * z).std()) == pytest.approx(left, rel=0.02, abs=1e-5)
    assert -20 * math.log10((1 - A[0]) ** 0.5) == pytest.approx(30.7, abs=0.05)


def test_mistaking_x0_for_eps():
    assert (1 - A[900]) ** 0.5 / A[900] ** 0.5 == pytest.approx(8.3, rel=1e-2)
    assert ((1 - A[0]) / A[0]) ** 0.5 == pytest.approx(0.0292, rel=2e-3)


def test_autoencoder_terms():
    moments = torch.tensor([0.5, math.log(0.25)]).view(1, 2, 1, 1)
    kl = float(DiagonalGaussianDistribution(moments).kl())
    equation_1 = 0.5 * (1 + math.log(0.25) - 0.25 - 0.25)
    assert (kl, equation_1) == pytest.approx((0.443, -0.443), rel=1e-3)
    outside = 1 - math.erf(1 / math.sqrt(2))  # both tails beyond one σ
    assert outside == pytest.approx(0.317, abs=1e-3)


def test_the_texts_squared_error_can_be_had():
    published, text = ({}, {"pixelloss_weight": 0.0, "mse_weight": 1.0})
    x, y = torch.zeros(1, 3, 4, 4), torch.full((1, 3, 4, 4), 0.1)
    for options, cost in ((published, 0.1), (text, 0.01)):
        loss = KLAutoencoderLoss(AutoencoderLossConfig(perceptual_trunk="", disc_ndf=4, **options))
        assert float(loss.reconstruction_error(x, y).mean()) == pytest.approx(cost)


def test_group_norm_keeps_what_a_layer_norm_would_level():
    x = torch.randn(1, 32 * 10, 8, 8, generator=torch.Generator().manual_seed(0))
    x[..., 4:] /= 10
    norm = SpatialTransformer(320, None, heads=8, depth=1).norm
    assert isinstance(norm, nn.GroupNorm)
    layer = nn.functional.layer_norm(x.permute(0, 2, 3, 1), (320,)).permute(0, 3, 1, 2)

    def ratio(y: torch.Tensor) -> float:
        return float(y[..., :4].detach().std() / y[..., 4:].detach().std())

    assert ratio(norm(x)) == pytest.approx(10.0, rel=0.05)
    assert ratio(layer) == pytest.approx(1.0, rel=0.05)
