from __future__ import annotations

import math

import pytest
import torch
from torch.distributions import Normal, kl_divergence

from ldm_core.models.distribution import DiagonalGaussianDistribution

SHAPE = (2, 3, 4, 5)


def moments(seed: int = 0) -> torch.Tensor:
    return torch.randn(2, 6, 4, 5, generator=torch.Generator().manual_seed(seed))


def peer(d: DiagonalGaussianDistribution) -> Normal:
    return Normal(d.mean, d.std)


def test_moments_and_their_limits():
    d = DiagonalGaussianDistribution(moments())
    assert d.mean.shape == SHAPE
    torch.testing.assert_close(d.std, (0.5 * d.logvar).exp())
    torch.testing.assert_close(d.var, d.std**2)
    wild = DiagonalGaussianDistribution(torch.full((1, 2, 1, 1), 1e3))
    assert wild.logvar.item() == 20.0
    assert DiagonalGaussianDistribution(torch.full((1, 2, 1, 1), -1e3)).logvar.item() == -30.0


def test_samples_have_the_moments_and_the_seed():
    d = DiagonalGaussianDistribution(torch.tensor([0.7, math.log(0.25)]).view(1, 2, 1, 1).expand(1, 2, 1, 1))
    draws = torch.stack([d.sample(torch.Generator().manual_seed(k)) for k in range(2000)])
    assert float(draws.mean()) == pytest.approx(0.7, abs=0.04)
    assert float(draws.std()) == pytest.approx(0.5, abs=0.03)
    d = DiagonalGaussianDistribution(moments())
    a, b = (d.sample(torch.Generator().manual_seed(1)) for _ in range(2))
    assert torch.equal(a, b)
    torch.manual_seed(3)
    noise = torch.randn(SHAPE)
    torch.manual_seed(3)
    torch.testing.assert_close(d.sample(), d.mean + d.std * noise)


def test_kl_is_torchs():
    p, q = DiagonalGaussianDistribution(moments(0)), DiagonalGaussianDistribution(moments(1))
    standard = Normal(torch.zeros(SHAPE), torch.ones(SHAPE))
    torch.testing.assert_close(p.kl(), kl_divergence(peer(p), standard).sum((1, 2, 3)), rtol=1e-5, atol=1e-4)
    torch.testing.assert_close(p.kl(q), kl_divergence(peer(p), peer(q)).sum((1, 2, 3)), rtol=1e-5, atol=1e-4)
    torch.testing.assert_close(p.kl(p), torch.zeros(2), rtol=0, atol=1e-4)


@pytest.mark.parametrize("dims", [(1, 2, 3), (1,), (2, 3)])
def test_nll_is_torchs(dims: tuple[int, ...]):
    d = DiagonalGaussianDistribution(moments())
    x = torch.randn(SHAPE, generator=torch.Generator().manual_seed(5))
    torch.testing.assert_close(d.nll(x, dims), -peer(d).log_prob(x).sum(dims), rtol=1e-5, atol=1e-4)


def test_mode_and_the_deterministic_one():
    d = DiagonalGaussianDistribution(moments())
    assert torch.equal(d.mode(), d.mean)
    point = DiagonalGaussianDistribution(moments(), deterministic=True)
    assert torch.equal(point.sample(), point.mean)
    assert point.std.abs().max() == point.var.abs().max() == 0
    assert point.kl() == point.nll(point.mean) == 0
