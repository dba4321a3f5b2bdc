"""A request is refused with one sentence where it is made, or travels as it is."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from ldm_core.config import MAX_SEED, ModelConfig
from ldm_core.diffusion.samplers import SAMPLERS
from ldm_core.presets import EMOJI_128, SD_V1
from ldm_core.sampling import SAMPLER_NAMES, Limits, ParameterError, SamplingParams

GOOD = SamplingParams("a red apple")


@pytest.mark.parametrize(
    ("fault", "field", "says"),
    [
        ({"prompt": 3}, "prompt", "must be text"),
        ({"prompt": "half a pair: \ud83d"}, "prompt", "must be text"),
        ({"prompt": "(apple:200)"}, "prompt", "a prompt weight must lie in -100…100, not 200"),
        ({"negative_prompt": "\udfff"}, "negative_prompt", "must be text"),
        ({"steps": 0}, "steps", "at least 1, not 0"),
        ({"steps": 2.5}, "steps", "whole number, not 2.5"),
        ({"steps": True}, "steps", "must be a number"),
        ({"steps": "25"}, "steps", "must be a number"),
        ({"steps": None}, "steps", "must be a number"),
        ({"steps": 10**400}, "steps", "whole number"),
        ({"steps": math.nan}, "steps", "whole number"),
        ({"eta": 1.5}, "eta", "0…1, not 1.5"),
        ({"eta": math.nan}, "eta", "finite"),
        ({"eta": 10**400}, "eta", "finite"),
        ({"guidance_scale": -math.inf}, "guidance_scale", "finite"),
        ({"guidance_scale": 51}, "guidance_scale", "-50…50"),
        ({"seed": -1}, "seed", "0…4294967295, not -1"),
        ({"seed": MAX_SEED, "batch": 2}, "seed", "0…4294967294, not 4294967295"),
        ({"batch": 0}, "batch", "at least 1"),
        ({"batch": 5_000_000_000}, "batch", "1…4294967295, not 5000000000"),
        ({"width": 0}, "width", "at least 1"),
        ({"strength": 0}, "strength", "above 0"),
        ({"strength": 1.01}, "strength", "0…1"),
        ({"sampler": None}, "sampler", "must be text"),
        ({"timestep_spacing": "magic"}, "timestep_spacing", "uniform, quad, trailing"),
        ({"label": -1}, "label", "at least 0"),
        ({"guidance_interval": 0.5}, "guidance_interval", "two numbers, rising within 0…1, not 0.5"),
        ({"guidance_interval": (0.5, 0.5)}, "guidance_interval", "rising"),
        ({"guidance_interval": (0.1, 1.1)}, "guidance_interval", "within 0…1"),
        ({"guidance_interval": [0.1, math.nan]}, "guidance_interval", "two numbers"),
        ({"guidance_interval": [0, "1"]}, "guidance_interval", "two numbers"),
        ({"variation_strength": 0.1}, "variation_seed", "must be a number"),
        ({"variation_strength": 0.1, "variation_seed": MAX_SEED, "batch": 2}, "variation_seed", "4294967294"),
    ],
)
def test_what_can_never_be_is_refused_where_it_is_made(fault: dict[str, Any], field: str, says: str):
    with pytest.raises(ParameterError, match=says) as caught:
        replace(GOOD, **fault)
    assert caught.value.field == field
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("fault", "field", "says"),
    [
        ({"prompt": "   "}, "prompt", "empty"),
        ({"prompt": "x" * 2001}, "prompt", "2001 characters"),
        ({"negative_prompt": "x" * 2001}, "negative_prompt", "at most 2000"),
        ({"steps": 1001}, "steps", "1…1000, not 1001"),
        ({"batch": 9}, "batch", "1…8"),
        ({"sampler": "magic"}, "sampler", "one of ddim, .*not 'magic'"),
        ({"width": 7}, "width", "multiple of 32 up to 1024, not 7"),
        ({"height": 2048}, "height", "up to 1024"),
        ({"width": 1024, "height": 1024, "batch": 5}, "batch", "at most 4 of this size"),
    ],
)
def test_what_a_model_or_its_operator_forbids_is_refused_by_check(fault: dict[str, Any], field: str, says: str):
    request = replace(GOOD, **fault)
    with pytest.raises(ParameterError, match=says) as caught:
        request.check(Limits())
    assert caught.value.field == field


def test_a_good_request_passes_and_an_empty_prompt_where_none_is_needed():
    GOOD.check(Limits())
    SamplingParams("").check(Limits(needs_prompt=False))


def test_numbers_become_their_fields_own_types():
    made = SamplingParams("a", steps=25.0, eta=0, seed=np.int64(3), guidance_scale=np.float32(2))  # type: ignore[arg-type]
    assert made == SamplingParams("a", steps=25, eta=0.0, seed=3, guidance_scale=2.0)
    assert [type(v) for v in (made.steps, made.eta, made.seed, made.guidance_scale)] == [int, float, int, float]
    assert json.loads(json.dumps(made.to_dict())) == made.to_dict()


def test_to_dict_and_from_dict_are_inverse():
    made = SamplingParams("a", "b", 3, 0.5, 2.0, "euler", 9, 2, 64, 32, 0.5, "quad", 1, 5, 0.25, (0.25, 0.75))
    assert SamplingParams.from_dict(json.loads(json.dumps(made.to_dict()))) == made


def test_settings_of_0_1_0_are_read():
    """As they stand in that version's files: every one of its names, the seed that was to be drawn, the step grid."""
    old = {
        "prompt": "a",
        "negative_prompt": "",
        "steps": 25,
        "eta": 0.0,
        "guidance_scale": 5.0,
        "sampler": "ddim",
        "seed": -1,
        "width": None,
        "height": 128,
        "batch": 1,
        "strength": 0.75,
    }
    made = SamplingParams.from_dict({**old, "grid": "trailing"})
    assert made == SamplingParams("a", guidance_scale=5.0, seed=None, height=128, timestep_spacing="trailing")


@pytest.mark.parametrize("values", [{}, {"steps": 3}, {"prompt": "a", "model_file": "/etc/passwd"}])
def test_unknown_names_and_a_missing_prompt_are_refused(values: dict[str, Any]):
    with pytest.raises(ParameterError) as caught:
        SamplingParams.from_dict(values)
    assert caught.value.key in ("unknown_setting", "prompt_missing")


def test_what_is_left_open_is_resolved_and_what_is_said_stays():
    assert GOOD.resolved(seed=3, guidance_scale=7.5) == replace(GOOD, seed=3, guidance_scale=7.5)
    said = replace(GOOD, seed=0, guidance_scale=0.0)
    assert said.resolved(seed=3, guidance_scale=7.5) == said


def test_a_picture_of_a_batch_as_a_request_of_its_own():
    assert SamplingParams("a", seed=5, batch=3).image(2) == SamplingParams("a", seed=7)
    varied = SamplingParams("a", seed=5, batch=3, variation_seed=1, variation_strength=0.2)
    assert varied.image(2) == replace(varied, batch=1, variation_seed=3)


def test_the_names_of_samplers_are_those_there_are():
    assert tuple(SAMPLERS) == SAMPLER_NAMES


def test_models_have_a_guidance_of_their_own_and_older_files_too():
    assert (SD_V1.default_guidance, EMOJI_128.default_guidance) == (7.5, 5.0)
    header = EMOJI_128.to_dict()
    del header["default_guidance"]
    assert ModelConfig.from_dict(header) == EMOJI_128
    with pytest.raises(ValueError, match="default_guidance"):
        replace(EMOJI_128, default_guidance=math.nan)


def test_it_needs_no_torch():
    code = "import ldm_core.sampling, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
