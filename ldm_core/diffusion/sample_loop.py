"""The one sampling loop: coroutines ask, the denoiser answers all of them in one network call.

A picture on its way is a `Row`. `start_row` begins one, `sample_loop` drives many to their ends, `advance` is its one
tick, for whoever keeps the rows themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
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


@dataclass(frozen=True, eq=False)
class Row:
    """One picture on its way over n steps; `correct` changes each prediction before the sampler sees it."""

    coroutine: SamplerCoroutine
    conditioning: Conditioning
    correct: Callable[[ModelInput, Prediction], Prediction] | None
    n: int


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
    z0 noised by it. Inpainting blends before DDIM's questions and corrects the answers to the others'.
    """
    noise = noise_source(shape, DEFAULT_SEED if params.seed is None else params.seed)
    x = noise()
    if params.variation_seed is not None and params.variation_strength:
        x = slerp(x, noise_source(shape, params.variation_seed)(), params.variation_strength)
    if z0 is not None:
        x = add_noise(z0, x, grid.alpha_bar[0])
    if inpainting is not None and params.sampler == "ddim":
        return Row(ddim(x, grid, noise=noise, blend=inpainting.blend), conditioning, None, len(grid))
    correct = None if inpainting is None else inpainting.correct
    return Row(SAMPLERS[params.sampler](x, grid, noise=noise), conditioning, correct, len(grid))


def advance(coroutines: Sequence[SamplerCoroutine], predictions: Sequence[Prediction]) -> list[ModelInput | Tensor]:
    """Send each its prediction: its next input or, after its last step, its final latent [C,h,w]."""
    found: list[ModelInput | Tensor] = []
    for coroutine, prediction in zip(coroutines, predictions, strict=True):
        try:
            found.append(coroutine.send(prediction))
        except StopIteration as end:
            found.append(end.value)
    return found


def sample_loop(denoise: Denoise, rows: Sequence[Row]) -> Run:
    """Drive rows to their ends; a Step a network call, the final latents [B,C,h,w] as the generator's return value.

    Rows may differ in everything but the latent's shape, and end at different ticks: a Step is about those under way,
    its i, n and t are the first one's. Samplers that ask twice in a step give two Steps of the same i.
    """
    asked: dict[int, ModelInput] = {k: next(row.coroutine) for k, row in enumerate(rows)}  # by rows under way
    latents: dict[int, Tensor] = {}
    while asked:
        live, inputs = [rows[k] for k in asked], [*asked.values()]
        with memory_guard("denoising"):
            predictions = denoise(inputs, [row.conditioning for row in live])
        predictions = [
            row.correct(put, prediction) if row.correct else prediction
            for row, put, prediction in zip(live, inputs, predictions, strict=True)
        ]
        x = torch.stack([put.x for put in inputs])
        eps, x0 = torch.stack([p.eps for p in predictions]), torch.stack([p.x0 for p in predictions])
        yield Step(inputs[0].step + 1, live[0].n, float(inputs[0].t), x, eps, x0)
        found = dict(zip(asked, advance([row.coroutine for row in live], predictions), strict=True))
        asked = {k: answer for k, answer in found.items() if isinstance(answer, ModelInput)}
        latents |= {k: answer for k, answer in found.items() if isinstance(answer, Tensor)}
    return torch.stack([latents[k] for k in range(len(rows))])


def finish(run: Run, each: Callable[[Step], object] = lambda step: None) -> Tensor:
    """Exhaust a run for its final latents [B,C,h,w]; `each` sees every step."""
    while True:
        try:
            each(next(run))
        except StopIteration as end:
            return end.value


def drive(coroutine: SamplerCoroutine, answer: Callable[[ModelInput], Prediction]) -> Tensor:
    """One coroutine to its end, each of its inputs answered by `answer` → its final latent."""
    asked = next(coroutine)
    while True:
        prediction = answer(asked)
        try:
            asked = coroutine.send(prediction)
        except StopIteration as end:
            return end.value


def replay(coroutine: SamplerCoroutine, predictions: Sequence[Prediction]) -> SamplerCoroutine:
    """The coroutine from where these predictions leave it: it is sent them first, then asks for itself."""
    asked = next(coroutine)
    try:
        for prediction in predictions:
            asked = coroutine.send(prediction)
        while True:
            asked = coroutine.send((yield asked))
    except StopIteration as end:
        return end.value
