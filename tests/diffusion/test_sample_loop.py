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
from ldm_core.diffusion.sample_loop import Row, advance, drive, finish, noise_source, replay, sample_loop, start_row
from ldm_core.diffusion.samplers import SAMPLERS, SamplerCoroutine, ddim
from ldm_core.sampling import SamplingParams
from tests.diffusion.oracles import SCHEDULE, SHAPE, draws, network_oracle, record
from tests.diffusion.oracles import replay as noises

NOTHING = Conditioning(torch.zeros(0))


def denoise(inputs: Sequence[ModelInput], conditionings: Sequence[Conditioning]) -> list[Prediction]:
    assert len(inputs) == len(conditionings)
    return [network_oracle(asked) for asked in inputs]


def coroutine(x: Tensor, steps: int) -> SamplerCoroutine:
    return ddim(x, SCHEDULE.grid("uniform", steps), noise=lambda: torch.zeros(SHAPE))


def test_advance_gives_each_its_next_input_or_its_latent():
    short, long = (coroutine(x, n) for x, n in zip(draws(0, 2), (1, 2), strict=True))
    asked = [next(short), next(long)]
    latent, further = advance([short, long], [network_oracle(a) for a in asked])
    assert isinstance(latent, Tensor) and isinstance(further, ModelInput) and further.step == 1
    assert torch.equal(latent, drive(coroutine(draws(0, 2)[0], 1), network_oracle))


def test_rows_of_different_length_and_sampler_end_as_each_alone():
    starts, kinds = draws(1, 4), (("ddim", 5), ("heun", 2), ("plms", 3), ("dpmpp_2m", 1))

    def begun() -> list[SamplerCoroutine]:
        return [
            SAMPLERS[name](x, SCHEDULE.grid("uniform", n), noise=noises([torch.zeros(SHAPE)] * n))
            for x, (name, n) in zip(starts, kinds, strict=True)
        ]

    rows = [Row(run, NOTHING, None, n) for run, (_, n) in zip(begun(), kinds, strict=True)]
    seen: list[int] = []
    latents = finish(sample_loop(denoise, rows), lambda step: seen.append(len(step.x)))
    alone = torch.stack([drive(run, network_oracle) for run in begun()])
    torch.testing.assert_close(latents, alone, rtol=0, atol=0)
    assert seen == [4, 3, 3, 2, 1], "each tick asks for those still under way"


def test_steps_say_what_was_asked_and_answered_after_the_correction():
    def correct(asked: ModelInput, prediction: Prediction) -> Prediction:
        return Prediction(prediction.eps, torch.zeros_like(prediction.x0))

    steps = list(sample_loop(denoise, [Row(coroutine(draws(0, 1)[0], 3), NOTHING, correct, 3)]))
    assert [(s.i, s.n, s.t) for s in steps] == [(1, 3, 667.0), (2, 3, 334.0), (3, 3, 1.0)]
    assert all((s.x0 == 0).all() for s in steps)
    assert torch.equal(steps[0].x[0], draws(0, 1)[0])


def test_a_full_memory_says_what_was_being_done():
    def full(*_: object) -> list[Prediction]:
        raise MemoryError

    with pytest.raises(OutOfMemory, match="while denoising"):
        finish(sample_loop(full, [Row(coroutine(draws(0, 1)[0], 1), NOTHING, None, 1)]))


@pytest.mark.parametrize("k", [0, 2, 5])
def test_a_replayed_coroutine_goes_on_where_the_answers_end(k: int):
    x = draws(3, 1)[0]
    final, _, answers = record(coroutine(x, 5), network_oracle)
    asked: list[ModelInput] = []

    def listen(question: ModelInput) -> Prediction:
        asked.append(question)
        return network_oracle(question)

    if k == 5:  # nothing is left to ask
        with pytest.raises(StopIteration) as end:
            next(replay(coroutine(x, 5), answers))
        assert torch.equal(end.value.value, final)
        return
    assert torch.equal(drive(replay(coroutine(x, 5), answers[:k]), listen), final)
    assert [question.step for question in asked] == list(range(k, 5))


def test_a_row_starts_from_its_seeds_first_draw():
    grid = SCHEDULE.grid("uniform", 2)

    def x_T(**settings: object) -> Tensor:
        return next(start_row(SamplingParams("a", **settings), grid, NOTHING, SHAPE).coroutine).x  # type: ignore[arg-type]

    a, b = noise_source(SHAPE, 7)(), noise_source(SHAPE, 9)()
    assert torch.equal(x_T(), a) and torch.equal(x_T(seed=9), b)
    torch.testing.assert_close(x_T(variation_seed=9, variation_strength=0.3), slerp(a, b, 0.3), rtol=0, atol=0)
    torch.testing.assert_close(x_T(variation_seed=9, variation_strength=1.0), b)
    assert torch.equal(x_T(variation_seed=9), a), "strength 0 leaves the seed's noise"
