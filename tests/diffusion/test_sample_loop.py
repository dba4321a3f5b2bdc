"""The one loop: rows of any length side by side are what each of them is alone."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from ldm_core.devices import OutOfMemory
from ldm_core.diffusion.denoiser import Conditioning, ModelInput
from ldm_core.diffusion.gaussian import Prediction
from ldm_core.diffusion.inversion import slerp
from ldm_core.diffusion.sample_loop import Row, drive, finish, noise_source, sample_loop, start_row
from ldm_core.diffusion.samplers import SAMPLERS, SamplerCoroutine, ddim
from ldm_core.sampling import SamplingParams
from tests.diffusion.oracles import SCHEDULE, SHAPE, draws, network_oracle, record, replay

NOTHING = Conditioning(torch.zeros(0))


def denoise(inputs: Sequence[ModelInput], conditionings: Sequence[Conditioning]) -> list[Prediction]:
    assert len(inputs) == len(conditionings)
    return [network_oracle(each) for each in inputs]


def coroutine(x: Tensor, steps: int) -> SamplerCoroutine:
    return ddim(x, SCHEDULE.grid("uniform", steps), noise=lambda: torch.zeros(SHAPE))


def test_a_row_goes_on_to_its_next_input_or_its_latent():
    x = draws(0, 1)[0]
    row = Row(coroutine(x, 2), NOTHING, 2)
    assert torch.equal(row.input.x, x) and row.input.step == 0
    row.send(network_oracle(row.input))
    assert row.input.step == 1 and row.latent is None
    row.send(network_oracle(row.input))
    assert row.latent is not None
    assert torch.equal(row.latent, drive(coroutine(x, 2), network_oracle))


def test_rows_of_different_length_and_sampler_end_as_each_alone():
    starts, kinds = draws(1, 4), (("ddim", 5), ("heun", 2), ("plms", 3), ("dpmpp_2m", 1))

    def begun() -> list[SamplerCoroutine]:
        return [
            SAMPLERS[name](x, SCHEDULE.grid("uniform", n), noise=replay([torch.zeros(SHAPE)] * n))
            for x, (name, n) in zip(starts, kinds, strict=True)
        ]

    rows = [Row(run, NOTHING, n) for run, (_, n) in zip(begun(), kinds, strict=True)]
    seen: list[int] = []
    latents = finish(sample_loop(denoise, rows), lambda step: seen.append(len(step.x)))
    alone = torch.stack([drive(run, network_oracle) for run in begun()])
    torch.testing.assert_close(latents, alone, rtol=0, atol=0)
    assert seen == [4, 3, 3, 2, 1], "each tick is of those still under way"


def test_steps_hold_the_inputs_and_the_predictions_after_the_correction():
    def correct(model_input: ModelInput, prediction: Prediction) -> Prediction:
        return Prediction(prediction.eps, torch.zeros_like(prediction.x0))

    steps = list(sample_loop(denoise, [Row(coroutine(draws(0, 1)[0], 3), NOTHING, 3, correct)]))
    assert [(s.i, s.n, s.t) for s in steps] == [(1, 3, 667.0), (2, 3, 334.0), (3, 3, 1.0)]
    assert all((s.x0 == 0).all() for s in steps)
    assert torch.equal(steps[0].x[0], draws(0, 1)[0])


def test_a_full_memory_says_what_was_being_done():
    def full(*_: object) -> list[Prediction]:
        raise MemoryError

    with pytest.raises(OutOfMemory, match="while denoising"):
        finish(sample_loop(full, [Row(coroutine(draws(0, 1)[0], 1), NOTHING, 1)]))


@pytest.mark.parametrize("k", [0, 2, 5])
def test_a_row_that_was_sent_kept_predictions_goes_on_where_they_end(k: int):
    x = draws(3, 1)[0]
    final, _, predictions = record(coroutine(x, 5), network_oracle)
    row = Row(coroutine(x, 5), NOTHING, 5)
    for prediction in predictions[:k]:
        row.send(prediction)
    steps: list[int] = []
    assert torch.equal(finish(sample_loop(denoise, [row]), lambda step: steps.append(step.i))[0], final)
    assert steps == list(range(k + 1, 6))


def test_a_row_starts_from_its_seeds_first_draw():
    grid = SCHEDULE.grid("uniform", 2)

    def x_T(**settings: object) -> Tensor:
        return start_row(SamplingParams("a", **settings), grid, NOTHING, SHAPE).input.x  # type: ignore[arg-type]

    a, b = noise_source(SHAPE, 7)(), noise_source(SHAPE, 9)()
    assert torch.equal(x_T(), a) and torch.equal(x_T(seed=9), b)
    torch.testing.assert_close(x_T(variation_seed=9, variation_strength=0.3), slerp(a, b, 0.3), rtol=0, atol=0)
    torch.testing.assert_close(x_T(variation_seed=9, variation_strength=1.0), b)
    assert torch.equal(x_T(variation_seed=9), a), "strength 0 leaves the seed's noise"
