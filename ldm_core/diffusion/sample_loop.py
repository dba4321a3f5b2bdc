"""The one sampling loop: every row has an input for the model, and one network call predicts for all of them.

A picture on its way is a `Row`. `start_row` begins one, `sample_loop` drives many to their ends; whoever keeps the rows
themselves sends each its prediction with `Row.send`.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor

from ldm_core.devices import memory_guard
from ldm_core.diffusion.denoiser import Conditioning, ModelInput
from ldm_core.diffusion.gaussian import Prediction, add_noise
from ldm_core.diffusion.inpainting import Inpainting
from ldm_core.diffusion.inversion import slerp
from ldm_core.diffusion.samplers import SAMPLERS, Noise, SamplerCoroutine, ddim
from ldm_core.diffusion.schedule import TimestepGrid
from ldm_core.sampling import DEFAULT_SEED, SamplingParams

Denoise = Callable[[Sequence[ModelInput], Sequence[Conditioning]], list[Prediction]]
Correction = Callable[[ModelInput, Prediction], Prediction]


@dataclass(eq=False)
class Row:
    """One picture on its way over n steps, from its sampler's first input to its final latent.

    `input` is what the model is to predict for next (after the end: what it predicted for last), `latent` the end, fp32
    [C,h,w], and None until then. `correction` changes each prediction before the sampler sees it.
    """

    coroutine: SamplerCoroutine
    conditioning: Conditioning
    n: int
    correction: Correction | None = None
    input: ModelInput = field(init=False)
    latent: Tensor | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self.input = next(self.coroutine)

    def corrected(self, prediction: Prediction) -> Prediction:
        """The model's prediction for `input` as the sampler is to see it."""
        return prediction if self.correction is None else self.correction(self.input, prediction)

    def send(self, prediction: Prediction) -> None:
        """Give the sampler its prediction: the next input or, after the last step, the latent."""
        try:
            self.input = self.coroutine.send(prediction)
        except StopIteration as end:
            self.latent = end.value


@dataclass(frozen=True, eq=False)
class Step:
    """One tick: step i of n, at timestep t; x, eps, x0 of the rows under way, fp32 [B,C,h,w]."""

    i: int
    n: int
    t: float
    x: Tensor
    eps: Tensor
    x0: Tensor


Run = Generator[Step, None, Tensor]


def noise_source(shape: Sequence[int], seed: int) -> Noise:
    """Draws N(0,1), fp32 [C,h,w], of one picture: from a CPU generator of its own, the same on every device."""
    return partial(torch.randn, tuple(shape), generator=torch.Generator().manual_seed(seed))


def start_row(
    params: SamplingParams,
    grid: TimestepGrid,
    conditioning: Conditioning,
    shape: Sequence[int],
    z0: Tensor | None = None,
    inpainting: Inpainting | None = None,
) -> Row:
    """One picture's row, from `params` of batch 1: its sampler at the grid's first noise level.

    x_T [C,h,w] is the first draw of the seed, turned towards the variation seed's where there is one; with z0 [C,h,w],
    z0 noised by it. Inpainting blends DDIM's inputs, and corrects the predictions for the others.
    """
    noise = noise_source(shape, DEFAULT_SEED if params.seed is None else params.seed)
    x = noise()
    if params.variation_seed is not None and params.variation_strength:
        x = slerp(x, noise_source(shape, params.variation_seed)(), params.variation_strength)
    if z0 is not None:
        x = add_noise(z0, x, grid.alpha_bar[0])
    if inpainting is not None and params.sampler == "ddim":
        return Row(ddim(x, grid, noise=noise, blend=inpainting.blend), conditioning, len(grid))
    correction = None if inpainting is None else inpainting.correct
    return Row(SAMPLERS[params.sampler](x, grid, noise=noise), conditioning, len(grid), correction)


def sample_loop(denoise: Denoise, rows: Sequence[Row]) -> Run:
    """Drive rows to their ends; a Step a network call, the final latents [B,C,h,w] as the generator's return value.

    Rows may differ in everything but the latent's shape, and end at different ticks: a Step is about those under way,
    its i, n and t are the first one's. Samplers with two inputs in a step give two Steps of the same i.
    """
    while live := [row for row in rows if row.latent is None]:
        inputs = [row.input for row in live]
        with memory_guard("denoising"):
            raw = denoise(inputs, [row.conditioning for row in live])
        predictions = [row.corrected(prediction) for row, prediction in zip(live, raw, strict=True)]
        x = torch.stack([each.x for each in inputs])
        eps, x0 = torch.stack([p.eps for p in predictions]), torch.stack([p.x0 for p in predictions])
        yield Step(inputs[0].step + 1, live[0].n, float(inputs[0].t), x, eps, x0)
        for row, prediction in zip(live, predictions, strict=True):
            row.send(prediction)
    return torch.stack([row.latent for row in rows if row.latent is not None])


def finish(run: Run, each: Callable[[Step], object] = lambda step: None) -> Tensor:
    """Exhaust a run for its final latents [B,C,h,w]; `each` sees every step."""
    while True:
        try:
            each(next(run))
        except StopIteration as end:
            return end.value


def drive(coroutine: SamplerCoroutine, predict: Callable[[ModelInput], Prediction]) -> Tensor:
    """One coroutine to its end, with `predict` for each of its inputs → its final latent."""
    model_input = next(coroutine)
    while True:
        prediction = predict(model_input)
        try:
            model_input = coroutine.send(prediction)
        except StopIteration as end:
            return end.value
