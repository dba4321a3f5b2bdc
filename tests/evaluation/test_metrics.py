"""Each measure against numbers that are known beforehand."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional as F

from ldm_core.evaluation.heldout import copying
from ldm_core.evaluation.kid import feature_kid, kid, nearest_distance, spread
from ldm_core.evaluation.metrics import top_hits, top_share
from ldm_core.evaluation.report import Metric, table


def mean_kernel(a: float, b: float) -> float:
    """E (xy + 1)³ of independent x ~ N(a, 1), y ~ N(b, 1), by the moments of the normal distribution."""
    moments = [(m, m**2 + 1, m**3 + 3 * m) for m in (a, b)]
    first, second, third = (x * y for x, y in zip(*moments, strict=True))
    return third + 3 * second + 3 * first + 1


def test_kid_of_two_gaussians_is_what_their_moments_say():
    g = torch.Generator().manual_seed(0)
    x, y = torch.randn(4000, 1, generator=g), 1.0 + torch.randn(4000, 1, generator=g)
    expected = mean_kernel(0, 0) + mean_kernel(1, 1) - 2 * mean_kernel(0, 1)
    assert expected == 16 + 12 + 3 + 1 + 3 + 1 - 2 * (6 + 1)  # 32 at (1,1), 4 at (0,0), 7 at (0,1)
    assert kid(x, y) == pytest.approx(expected, rel=0.1)


def test_kid_is_unbiased():
    g = torch.Generator().manual_seed(1)
    values = torch.tensor([kid(*torch.randn(2, 12, 4, generator=g)) for _ in range(400)])
    error = float(values.std()) / math.sqrt(len(values))
    assert abs(float(values.mean())) < 3 * error
    assert float(values.min()) < 0  # the biased estimate never is
    with pytest.raises(ValueError, match="at least 2"):
        kid(torch.zeros(1, 2), torch.zeros(3, 2))


def test_feature_kid_knows_no_scale():
    g = torch.Generator().manual_seed(2)
    x, y = torch.rand(2, 30, 8, generator=g)
    assert feature_kid(3 * x, y) == pytest.approx(feature_kid(x, 0.1 * y), abs=1e-6)


def test_spread_is_the_mean_over_all_pairs():
    x = torch.randn(7, 5, generator=torch.Generator().manual_seed(3))
    pairs = [1 - float(F.cosine_similarity(x[i], x[j], dim=0)) for i in range(7) for j in range(i)]
    assert spread(x) == pytest.approx(sum(pairs) / len(pairs), abs=1e-6)
    assert math.isnan(spread(x[:1]))


def test_nearest_in_blocks_is_nearest_of_all():
    g = torch.Generator().manual_seed(4)
    x, known = torch.randn(9, 3, generator=g), torch.randn(50, 3, generator=g)
    assert torch.allclose(nearest_distance(x, known, block=7), torch.cdist(x, known).amin(1))


def test_copies_are_found():
    g = torch.Generator().manual_seed(5)
    known, real = torch.randn(200, 6, generator=g), torch.randn(100, 6, generator=g)
    median, copies = copying("features", known[:40] + 1e-4, real, known)
    assert copies.value == 1.0 and copies.real == pytest.approx(0.05, abs=0.011) and copies.met is False
    assert median.value < 0.01 < median.real  # type: ignore[operator]
    fresh = copying("features", 3 + torch.randn(40, 6, generator=g), real, known)[1]
    assert fresh.value <= 0.05 and fresh.met


def test_top_hits_count_equals_as_ahead():
    scores = torch.tensor([[3.0, 2.0, 1.0], [1.0, 2.0, 3.0], [1.0, 1.0, 1.0]])
    right = torch.tensor([0, 0, 0])
    assert top_hits(scores, right, 1).tolist() == [True, False, False]
    assert top_hits(scores, right, 3).tolist() == [True, True, True]
    several = torch.tensor([[False, True, True], [False, True, False], [False, False, False]])
    assert top_hits(scores, several, 2).tolist() == [True, True, False]
    assert top_share(scores, right, 1) == pytest.approx(1 / 3)


def test_metrics_know_their_targets():
    assert Metric("a", 0.45, 10, real=0.5, target=0.8, of_real=True).met is True
    assert Metric("a", 0.45, 10, real=0.5, target=0.8).met is False
    assert Metric("a", 0.0, 10, real=0.0, target=0.8, of_real=True).met is None
    assert Metric("a", 0.04, 10, real=0.05, target=1.0, of_real=True, at_most=True).met is True
    lines = table([Metric("name", 0.5, 10, 0.8, 0.6, True)]).splitlines()
    assert lines[1].split() == ["name", "0.500", "10", "0.800", "0.625", "≥", "0.6", "of", "real", "yes"]
