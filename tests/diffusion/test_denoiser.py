from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from diffusers import DDIMScheduler
from torch import Tensor

from ldm_core.diffusion.denoiser import Conditioning, Denoiser, ModelInput
from ldm_core.diffusion.gaussian import to_eps_x0
from ldm_core.presets import TINY
from tests.diffusion.oracles import SCHEDULE, draws
from tests.tiny import tiny_model


def apply_model(x: Tensor, t: Tensor, context: Tensor) -> Tensor:
    """Every row sees its own x, t and context, and nothing of its neighbours."""
    return torch.tanh(x + context.mean(dim=(1, 2))[:, None, None, None]) * (1 + t / 1000)[:, None, None, None]


def rows() -> tuple[list[ModelInput], list[Conditioning]]:
    xs, contexts = draws(0, 4), draws(1, 8, (3, 7))
    ts = [torch.tensor(t) for t in (1.0, 951.0, 500.5, 999.0)]
    inputs = [ModelInput(x, t, i) for i, (x, t) in enumerate(zip(xs, ts, strict=True))]
    scales = [(1.0, True), (7.5, True), (3.0, False), (-2.0, True)]
    return inputs, [Conditioning(contexts[k], contexts[k + 4] if u else None, s) for k, (s, u) in enumerate(scales)]


@pytest.mark.parametrize("kind", ["eps", "x0", "v"])
def test_a_row_in_a_batch_is_the_row_alone(kind: str):
    denoise = Denoiser(apply_model, SCHEDULE, kind)  # type: ignore[arg-type]
    inputs, conditionings = rows()
    together = denoise(inputs, conditionings)
    for model_input, conditioning, prediction in zip(inputs, conditionings, together, strict=True):
        (alone,) = denoise([model_input], [conditioning])
        torch.testing.assert_close(prediction.eps, alone.eps, rtol=0, atol=0)
        torch.testing.assert_close(prediction.x0, alone.x0, rtol=0, atol=0)


def test_guidance_is_the_line_through_both_answers():
    inputs, conditionings = rows()
    model_input, c = inputs[1], conditionings[1]
    (prediction,) = Denoiser(apply_model, SCHEDULE, "eps")([model_input], [c])
    with_context = apply_model(model_input.x[None], model_input.t[None], c.context[None])[0]
    without = apply_model(model_input.x[None], model_input.t[None], c.uncond[None])[0]
    torch.testing.assert_close(prediction.eps, 7.5 * with_context - 6.5 * without, rtol=1e-5, atol=1e-5)


def test_scale_one_costs_one_row():
    seen = []

    def counting(x: Tensor, t: Tensor, context: Tensor) -> Tensor:
        seen.append(len(x))
        return apply_model(x, t, context)

    inputs, conditionings = rows()
    Denoiser(counting, SCHEDULE, "eps")(inputs, conditionings)
    assert seen == [6]  # 1 + 2 + 1 + 2


def test_outside_its_interval_guidance_costs_one_row_and_does_nothing():
    seen = []

    def counting(x: Tensor, t: Tensor, context: Tensor) -> Tensor:
        seen.append(len(x))
        return apply_model(x, t, context)

    inputs, conditionings = rows()
    denoise, guided = Denoiser(counting, SCHEDULE, "eps"), replace(conditionings[1], guided=(200.0, 500.0))
    (prediction,) = denoise([inputs[1]], [guided])  # at 951
    (plain,) = denoise([inputs[1]], [replace(guided, guidance_scale=1.0)])
    assert torch.equal(prediction.eps, plain.eps)
    denoise([ModelInput(inputs[1].x, torch.tensor(500.0), 0)], [guided])
    assert seen == [1, 1, 2]


@pytest.mark.parametrize(("kind", "theirs"), [("eps", "epsilon"), ("x0", "sample"), ("v", "v_prediction")])
@pytest.mark.parametrize("t", [1, 500, 981])
def test_conversions_are_the_peers(kind: str, theirs: str, t: int):
    x, out = draws(2, 2)
    peer = DDIMScheduler(
        1000, 0.00085, 0.012, "scaled_linear", clip_sample=False, set_alpha_to_one=False, prediction_type=theirs
    )
    peer.set_timesteps(50)
    a = peer.alphas_cumprod[t]
    prediction = to_eps_x0(kind, out, x, a)  # type: ignore[arg-type]
    torch.testing.assert_close(prediction.x0, peer.step(out, t, x).pred_original_sample, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(a.sqrt() * prediction.x0 + (1 - a).sqrt() * prediction.eps, x, rtol=1e-5, atol=1e-4)


def test_half_precision_networks_are_asked_at_full_timesteps():
    model, seen = tiny_model(), []
    model.model.to(torch.bfloat16)
    model.model.register_forward_pre_hook(
        lambda _, args, kwargs: seen.append((args[0].dtype, args[1], kwargs["c_crossattn"][0].dtype)), with_kwargs=True
    )
    model_input = ModelInput(torch.zeros(TINY.latent_shape()), torch.tensor(951.0), 0)
    (prediction,) = Denoiser(model.apply_model, SCHEDULE, "eps")([model_input], [Conditioning(torch.zeros(8, 32))])
    ((latent, t, context),) = seen
    assert latent == context == torch.bfloat16
    assert float(t) == 951.0
    assert prediction.eps.dtype == prediction.x0.dtype == torch.float32
