from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from ldm_core.evaluation.metrics import psnr, ssim


def test_psnr_of_a_constant_error():
    a = torch.zeros(2, 3, 16, 16)
    b = a + torch.tensor([0.2, 0.02]).view(2, 1, 1, 1)  # on a range of 2: a tenth, a hundredth
    assert psnr(a, b).tolist() == pytest.approx([20.0, 40.0], abs=1e-3)


def test_ssim_against_scipy():
    g = torch.Generator().manual_seed(0)
    a = torch.rand(1, 1, 40, 40, generator=g, dtype=torch.float64) * 2 - 1
    b = (a + 0.3 * torch.randn(1, 1, 40, 40, generator=g, dtype=torch.float64)).clamp(-1, 1)
    x, y = ((v[0, 0].numpy() + 1) / 2 for v in (a, b))
    f = lambda v: gaussian_filter(v, 1.5, truncate=5 / 1.5)[5:-5, 5:-5]  # noqa: E731
    mx, my = f(x), f(y)
    vx, vy, cov = f(x * x) - mx**2, f(y * y) - my**2, f(x * y) - mx * my
    c1, c2 = 0.01**2, 0.03**2
    peer = ((2 * mx * my + c1) * (2 * cov + c2) / ((mx**2 + my**2 + c1) * (vx + vy + c2))).mean()
    assert float(ssim(a, b)) == pytest.approx(peer, abs=1e-9)
    assert float(ssim(a, a)) == pytest.approx(1.0)
    assert np.isfinite(float(ssim(a, -a)))
