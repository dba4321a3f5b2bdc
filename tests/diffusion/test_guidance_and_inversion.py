from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from ldm_core.diffusion.classifier_guidance import ClassifierGuidance
from ldm_core.diffusion.denoiser import ModelInput
from ldm_core.diffusion.gaussian import Prediction
from ldm_core.diffusion.inversion import ddim_inversion, lerp, slerp
from ldm_core.diffusion.sample_loop import drive
from ldm_core.diffusion.samplers import ddim
from tests.diffusion.oracles import SCHEDULE, draws, eps_prediction, network_oracle, record

MEANS = torch.tensor([-1.5, 0.5, 2.0], dtype=torch.float64)
SPREAD = 0.3


def logits(x: Tensor, t: Tensor) -> Tensor:
    """log p(x_t | class) of three equally likely normals, elements independent: [B,3]."""
    a = SCHEDULE.alpha_bar_at(t.double())
    variance = a * SPREAD**2 + 1 - a
    gap = x.flatten(1)[:, None] - a.sqrt()[:, None, None] * MEANS[None, :, None]
    return -(gap**2).sum(2) / (2 * variance[:, None])


def class_eps(x: Tensor, t: Tensor) -> Tensor:
    """eps of the data of each class: [B,3,…]."""
    a = SCHEDULE.alpha_bar_at(t.double())[:, None, None]
    x = x[:, None]
    return (1 - a).sqrt() * (x - a.sqrt() * MEANS[None, :, None]) / (a * SPREAD**2 + 1 - a)


@pytest.mark.parametrize("t", [20.0, 400.0, 900.5])
def test_the_exact_classifier_turns_the_mixture_into_the_class(t: float):
    x = torch.randn(2, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    times = torch.full((2,), t, dtype=torch.float64)
    weights = logits(x, times).softmax(1)
    eps = (weights[..., None] * class_eps(x, times)).sum(1)
    labels = torch.tensor([2, 0])
    guidance = ClassifierGuidance(logits, labels, SCHEDULE)
    got = guidance.modify_score(None, eps, x, times, None)
    torch.testing.assert_close(got, class_eps(x, times)[[0, 1], labels], rtol=1e-5, atol=1e-6)
    assert not x.requires_grad
    with torch.no_grad():
        alone = ClassifierGuidance(logits, 2, SCHEDULE)
        prediction = alone.correct(
            ModelInput(x[0], times[0], 0), eps_prediction(x[0], eps[0], SCHEDULE.alpha_bar_at(times[0]))
        )
    torch.testing.assert_close(prediction.eps, got[0], rtol=1e-5, atol=1e-6)
    with pytest.raises(TypeError, match="colour"):
        guidance.modify_score(None, eps, x, times, None, colour=1)


def test_scale_multiplies_the_push():
    x, times = torch.zeros(1, 5, dtype=torch.float64), torch.tensor([300.0], dtype=torch.float64)
    eps = torch.zeros_like(x)
    one, three = (ClassifierGuidance(logits, 2, SCHEDULE, s).modify_score(None, eps, x, times, None) for s in (1, 3))
    torch.testing.assert_close(three, 3 * one)


def there_and_back(n: int, refine: int) -> float:
    """Largest error of latent → noise → latent under the nonlinear network."""
    grid, z = SCHEDULE.grid("uniform", n), 0.8 * draws(0, 1)[0]
    noise = drive(ddim_inversion(z, grid, refine=refine), network_oracle)
    back = drive(ddim(noise, grid, noise=lambda: torch.zeros_like(z)), network_oracle)
    return float((back - z).abs().max())


def gaussian_oracle(model_input: ModelInput) -> Prediction:
    a = SCHEDULE.alpha_bar_at(model_input.t)
    return eps_prediction(model_input.x, model_input.x * (1 - a).sqrt() / (0.25 * a + 1 - a), a)


def test_inversion_error_falls_with_the_step():
    z = draws(0, 1)[0]

    def error(n: int) -> float:
        grid = SCHEDULE.grid("uniform", n)
        noise = drive(ddim_inversion(z, grid), gaussian_oracle)
        return float((drive(ddim(noise, grid, noise=lambda: 0 * z), gaussian_oracle) - z).abs().max())

    errors = [error(n) for n in (25, 50, 100)]
    assert errors[0] < 0.7
    assert errors[0] / errors[2] > 3.0


def test_refined_inversion_is_exact():
    z = draws(0, 1)[0]
    grid = SCHEDULE.grid("uniform", 50)
    noise, inputs, _ = record(ddim_inversion(z, grid, refine=12), gaussian_oracle)
    assert len(inputs) == 50 * 13
    assert float(inputs[0].t) == 0.0
    assert float(inputs[-1].t) == float(grid.t[0])
    back = drive(ddim(noise, grid, noise=lambda: 0 * z), gaussian_oracle)
    assert float((back - z).abs().max()) < 1e-3
    assert there_and_back(100, 12) < there_and_back(100, 0)


def test_slerp_keeps_the_length_of_noise():
    a, b = draws(0, 2, (4, 64, 64))
    for w in (0.0, 0.25, 0.5, 1.0):
        assert float(slerp(a, b, w).std()) == pytest.approx(1.0, abs=0.02)
    assert float(lerp(a, b, 0.5).std()) == pytest.approx(math.sqrt(0.5), abs=0.02)
    torch.testing.assert_close(slerp(a, b, 0.0), a)
    torch.testing.assert_close(slerp(a, b, 1.0), b)
    torch.testing.assert_close(slerp(a, a, 0.3), a)
    x, y = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0])
    third = torch.tensor([math.cos(math.pi / 6), math.sin(math.pi / 6)])
    torch.testing.assert_close(slerp(x, y, 1 / 3), third)
