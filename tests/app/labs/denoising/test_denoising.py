"""A kept generation is the pipeline's own; forks, guidance and inversion are what their definitions say."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
import torch

from app.i18n import say
from app.labs.common.maps import tiles
from app.labs.common.trajectory import ETAS, Trajectory, film, fork, record, record_etas
from app.labs.denoising.ddim_inversion import inversion_plot, invert
from app.labs.denoising.plots import (
    anatomy,
    anatomy_plot,
    apart_plot,
    change_plot,
    compare_fork,
    fork_plot,
    latents,
    seen,
)
from app.schemas import RequestError
from ldm_core.diffusion.schedule import NoiseSchedule
from ldm_core.pipeline import Pipeline, finish
from ldm_core.presets import SD_SCHEDULE
from ldm_core.sampling import SamplingParams
from tests.app.labs.studies import answer
from tests.tiny import tiny_pipeline

RECIPE = SamplingParams("a red apple", steps=5, guidance_scale=3.0, eta=0.6, seed=3)


@pytest.fixture(scope="module")
def pipe() -> Pipeline:
    return tiny_pipeline()


@pytest.fixture(scope="module")
def trunk(pipe: Pipeline) -> Trajectory:
    return answer(record(pipe, RECIPE))[0]


def test_the_kept_walk_is_the_pipelines_own(pipe: Pipeline, trunk: Trajectory):
    kept = []
    run = pipe.stream(RECIPE.prompt, steps=5, guidance_scale=3.0, eta=0.6, seed=3)
    final = finish(run, kept.append)
    assert torch.equal(trunk.final, final[0])
    for moment, step in zip(trunk.steps, kept, strict=True):
        assert moment.t == step.t
        assert torch.equal(moment.x, step.x[0])
        assert torch.equal(moment.prediction.eps, step.eps[0])


def test_the_terms_mix_to_the_answer(trunk: Trajectory):
    for moment in trunk.steps:
        mixed = moment.uncond + 3.0 * (moment.cond - moment.uncond)
        torch.testing.assert_close(mixed, moment.prediction.eps)


def test_a_difference_in_eps_counts_by_the_noise_in_x0(trunk: Trajectory):
    plot = anatomy_plot(trunk, 2, "en")
    *_, eps, x0 = (series.y for series in plot.series)
    a = trunk.grid.alpha_bar.double().numpy()
    np.testing.assert_allclose(x0, np.sqrt((1 - a) / a) * eps, rtol=1e-3)
    assert f"step {x0.argmax() + 1} of 5, {x0.max():.3g} RMS" in plot.summary


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_the_folded_answer_says_how_much_eps_counts_at_either_end(lang: str):
    a = NoiseSchedule.from_config(SD_SCHEDULE).grid("uniform", 20).alpha_bar
    first, last = ((1 - a) / a).sqrt()[[0, -1]].tolist()
    assert {f"{first:.0f}", f"{last:.2f}"} <= {*re.findall(r"\d+(?:\.\d+)?", say(lang, "anatomy_answer"))}


def test_at_scale_one_the_mix_is_the_conditional(pipe: Pipeline):
    walk, steps = answer(record(pipe, replace(RECIPE, guidance_scale=1.0)))
    assert [s.i for s in steps] == [1, 2, 3, 4, 5]
    for moment in walk.steps:
        assert moment.uncond is None
        assert torch.equal(moment.cond, moment.prediction.eps)
    with pytest.raises(RequestError, match="scale 1"):
        answer(anatomy(pipe, walk, 2))


@pytest.mark.parametrize("k", [1, 3, 5])
def test_a_fork_that_changes_nothing_is_the_trunk(pipe: Pipeline, trunk: Trajectory, k: int):
    branch, steps = answer(fork(pipe, trunk, k, RECIPE))
    assert torch.equal(branch.final, trunk.final)
    assert len(steps) == 5 - k + 1  # what is replayed is not asked again


def test_a_fork_leaves_what_lies_behind_it(pipe: Pipeline, trunk: Trajectory):
    for change in ({"prompt": "a blue car"}, {"guidance_scale": 1.0}, {"eta": 0.0}):
        made, _ = answer(compare_fork(pipe, trunk, 3, replace(RECIPE, **change)))
        for a, b in zip(trunk.steps[:3], made.branch.steps[:3], strict=True):
            assert torch.equal(a.x, b.x)
        assert not torch.equal(made.branch.final, trunk.final)
        assert (fork_plot(made, "en").series[0].y[:3] == 0).all()
    for k in (0, 6):
        with pytest.raises(RequestError):
            answer(fork(pipe, trunk, k, RECIPE))


def test_etas_share_their_noise(pipe: Pipeline):
    walks, pictures = answer(record_etas(pipe, RECIPE))[0]
    assert len(walks) == len(pictures) == len(ETAS)
    alone, _ = answer(record(pipe, replace(RECIPE, eta=ETAS[2])))
    torch.testing.assert_close(walks[2].final, alone.final, atol=1e-4, rtol=1e-4)
    assert all(torch.equal(walk.steps[0].x, walks[0].steps[0].x) for walk in walks)
    assert len(apart_plot(walks, "zh").series) == len(ETAS) - 1


def test_looking_at_a_step_asks_no_unet(pipe: Pipeline, trunk: Trajectory, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(pipe.model.model, "forward", None)
    shown, _ = answer(seen(pipe, trunk, 3))
    np.testing.assert_array_equal(shown.x0, pipe.decode(trunk.steps[2].prediction.x0[None])[0])
    assert answer(seen(pipe, trunk, 1))[0].change.max() == 0
    made, _ = answer(anatomy(pipe, trunk, 3))
    assert made.norm.shape == trunk.final.shape[1:]
    channels = latents(trunk, 3)["change"]
    np.testing.assert_array_equal(channels, (trunk.steps[2].x - trunk.steps[1].x).numpy())
    h, w = trunk.final.shape[1:]
    assert tiles(channels).shape == (2 * h + 1, 2 * w + 1, 3)
    assert len(change_plot(trunk, 3, "en").series[1].y) == 4
    assert anatomy_plot(trunk, 3, "zh").marks[0].at == 3


def test_a_film_of_one_step(pipe: Pipeline):
    made, _ = answer(film(pipe, replace(RECIPE, steps=1)))
    assert list(made.frames) == [1]
    assert change_plot(made.trajectory, 1, "en").summary == ""


def test_inversion_misses_less_with_more_steps(pipe: Pipeline):
    picture = np.random.default_rng(0).integers(0, 256, (32, 32, 3)).astype(np.uint8)
    coarse, steps = answer(invert(pipe, picture, "", 4, 1))
    assert [s.i for s in steps] == list(range(1, 13))
    rough, fine = (answer(invert(pipe, picture, "", n, 0))[0] for n in (4, 64))
    assert fine.error < rough.error
    assert coarse.error < rough.error  # a further question a step
    assert rough.apart[0] == 0
    assert inversion_plot(rough, "en").series[0].x[0] == 0


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_the_folded_answer_compares_inversions_of_one_cost(lang: str):
    refined, plain = map(int, re.findall(r"\d+", say(lang, "inversion_answer"))[:2])
    assert refined * (2 + 1) == plain * (2 + 0)
