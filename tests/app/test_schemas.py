"""What the library refuses is refused in the page's words, in each of its languages, beside its field."""

from __future__ import annotations

import math
from typing import Any

import pytest

from app.i18n import LANGUAGES, Sentence, words
from app.schemas import RequestError, check_params, read_params
from ldm_core.sampling import MESSAGES, Limits, SamplingParams

GOOD = {"prompt": "a red apple"}


@pytest.mark.parametrize(
    ("fault", "field", "says"),
    [
        ({"prompt": "   "}, "prompt", "Please type a prompt"),
        ({"prompt": "x" * 2001}, "prompt", "Prompt is 2001 characters long"),
        ({"steps": 0}, "steps", "Steps must be at least 1, not 0."),
        ({"steps": 1001}, "steps", "between 1 and 1000, not 1001"),
        ({"steps": "many"}, "steps", "Steps must be a number."),
        ({"steps": 2.5}, "steps", "whole number"),
        ({"eta": 1.5}, "eta", "Eta must lie between 0 and 1"),
        ({"eta": math.nan}, "eta", "not NaN or infinity"),
        ({"guidance_scale": math.inf}, "guidance_scale", "not NaN or infinity"),
        ({"width": 7}, "width", "multiple of 32"),
        ({"width": 2048}, "width", "1024"),
        ({"batch": 9}, "batch", "8"),
        ({"seed": 2**32}, "seed", "Seed"),
        ({"sampler": "magic"}, "sampler", "ddim"),
        ({"strength": 0.0}, "strength", "Strength"),
        ({"timestep_spacing": "magic"}, "timestep_spacing", "uniform, quad, trailing"),
        ({"variation_strength": 0.5}, "variation_seed", "Variation seed must be a number."),
        ({"negative_prompt": "(apple:200)"}, "negative_prompt", "A prompt weight must lie between -100 and 100"),
        ({"model_file": "/etc/passwd"}, "", "Unknown setting: model_file."),
    ],
)
def test_each_fault_is_one_sentence(fault: dict[str, Any], field: str, says: str):
    with pytest.raises(RequestError) as caught:
        check_params(read_params({**GOOD, **fault}), Limits())
    message = str(caught.value)
    assert says in message and "\n" not in message and message.endswith(".")
    assert caught.value.setting == field
    assert "{" not in caught.value.sentence.says("zh")


def test_the_page_has_words_for_every_refusal_and_every_setting():
    for lang in LANGUAGES:
        assert not set(MESSAGES) - words(lang).keys()
        assert not set(SamplingParams.__dataclass_fields__) - words(lang).keys()
    assert Sentence("variation_seed").says("zh")


def test_a_good_request_is_read():
    made = read_params({**GOOD, "steps": 25.0, "seed": -1})
    check_params(made, Limits())
    assert made == SamplingParams("a red apple")
