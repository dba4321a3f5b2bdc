"""The overview's story is a real generation's, and its diagram shows every moment of it."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from app.i18n import say
from app.labs.overview.diagram import BEFORE, diagram
from app.labs.overview.story import Story, tell
from app.ui.labs import LABS
from ldm_core.pipeline import Pipeline
from ldm_core.sampling import SamplingParams
from tests.app.labs.studies import answer
from tests.tiny import tiny_pipeline

STEPS = 3
KEPT = SamplingParams("a red apple", steps=STEPS)


@pytest.fixture(scope="module")
def pipe() -> Pipeline:
    return tiny_pipeline()


@pytest.fixture(scope="module")
def story(pipe: Pipeline) -> Story:
    return answer(tell(pipe, KEPT))[0]


def test_the_story_is_the_pipelines_own(pipe: Pipeline, story: Story):
    made = pipe.generate(KEPT.prompt, steps=STEPS, guidance_scale=KEPT.guidance_scale, seed=KEPT.seed)[0]
    assert np.abs(made.astype(int) - story.picture).max() <= 1
    assert len(story.t) == len(story.latents) == len(story.estimates) == STEPS
    assert list(story.t) == sorted(story.t, reverse=True)


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_start_and_end_are_named_as_their_chips_are(lang: str):
    for name in ("token_start", "token_end"):
        assert say(lang, name) in say(lang, "overview_says_tokens", count=5)


def test_tokens_are_the_tokenizers(pipe: Pipeline, story: Story):
    assert pipe.tokenizer is not None
    ids = pipe.tokenizer.encode([KEPT.prompt])[0].tolist()
    assert [number for _, number in story.tokens] == ids[: len(story.tokens)]
    assert [text for text, _ in story.tokens if text] == ["a", "red", "apple"]


def test_weights_of_a_prompt_are_no_tokens(pipe: Pipeline, story: Story):
    weighted, _ = answer(tell(pipe, replace(KEPT, prompt="a (red:1.3) [apple]")))
    assert weighted.tokens == story.tokens


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_every_moment_is_shown_and_every_part_leads_to_its_lab(story: Story, lang: str):
    html = diagram(story, lang)
    assert html.count('data-frame="') == STEPS + BEFORE + 1
    assert html.count('data-stage="') == 5
    assert {int(k) for k in re.findall(r'data-step="(\d+)"', html)} == set(range(STEPS + 1))
    labs = set(re.findall(r"\?lab=(\w+)", html))
    assert labs == {"attention", "architecture", "denoising", "schedules", "autoencoder"}
    assert labs <= {lab.key for lab in LABS}
    assert "{" not in html
