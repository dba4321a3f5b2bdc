"""Things whose answers are known without our code: a smooth network, Gaussian data, a driver of one coroutine."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from ldm_core.diffusion.denoiser import ModelInput
from ldm_core.diffusion.gaussian import Prediction
from ldm_core.diffusion.samplers import SamplerCoroutine
from ldm_core.diffusion.schedule import NoiseSchedule
from ldm_core.presets import SD_V1

SCHEDULE = NoiseSchedule.from_config(SD_V1.schedule)
SHAPE = (4, 6, 5)


def network(x: Tensor, t: Tensor | float) -> Tensor:
    """A smooth, bounded, nonlinear eps that depends on every element of x and on t."""
    t = torch.as_tensor(t, dtype=x.dtype).reshape(-1, *[1] * (x.ndim - 1)) if torch.as_tensor(t).ndim else t
    return 0.7 * torch.sin(2.0 * x + torch.as_tensor(t) / 200.0) + 0.4 * x


def eps_prediction(x: Tensor, eps: Tensor, alpha_bar: Tensor) -> Prediction:
    return Prediction(eps, (x - (1 - alpha_bar).sqrt() * eps) / alpha_bar.sqrt())


def network_oracle(model_input: ModelInput) -> Prediction:
    return eps_prediction(model_input.x, network(model_input.x, model_input.t), SCHEDULE.alpha_bar_at(model_input.t))


def record(
    trajectory: SamplerCoroutine, oracle: Callable[[ModelInput], Prediction]
) -> tuple[Tensor, list[ModelInput], list[Prediction]]:
    inputs, predictions = [next(trajectory)], []
    while True:
        predictions.append(oracle(inputs[-1]))
        try:
            inputs.append(trajectory.send(predictions[-1]))
        except StopIteration as end:
            return end.value, inputs, predictions


def draws(seed: int, n: int, shape: tuple[int, ...] = SHAPE) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(shape, generator=generator) for _ in range(n)]


def replay(noises: list[Tensor]) -> Callable[[], Tensor]:
    queue: Iterator[Tensor] = iter(noises)
    return lambda: next(queue)
