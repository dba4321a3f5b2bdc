"""A request is refused with one sentence, or served as it is."""

import math

import pytest

from app.schemas import GenerateRequest, Limits, RequestError, validate

GOOD = GenerateRequest("a red apple")


def test_good_request_passes() -> None:
    validate(GOOD, Limits())


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        ({"prompt": "   "}, "prompt"),
        ({"prompt": "x" * 2001}, "2001"),
        ({"steps": 0}, "between 1 and 1000, not 0"),
        ({"steps": 1001}, "1001"),
        ({"eta": 1.5}, "Eta"),
        ({"eta": math.nan}, "NaN"),
        ({"guidance_scale": math.nan}, "NaN"),
        ({"guidance_scale": math.inf}, "NaN"),
        ({"eta": 10**400}, "infinity"),
        ({"width": 7}, "multiple of 32"),
        ({"height": 0}, "multiple of 32"),
        ({"width": 2048}, "1024"),
        ({"batch": 9}, "8"),
        ({"seed": 2**32}, "Seed"),
        ({"seed": 2**32 - 1, "batch": 2}, "Seed"),
        ({"sampler": "magic"}, "ddim"),
        ({"strength": 0.0}, "Strength"),
        ({"negative_prompt": "(apple:200)"}, "A prompt weight must lie between -100 and 100, not 200."),
    ],
)
def test_each_fault_is_one_sentence(fault: dict[str, object], says: str) -> None:
    with pytest.raises(RequestError) as caught:
        validate(GenerateRequest.from_dict({**GOOD.to_dict(), **fault}), Limits())
    message = str(caught.value)
    assert says in message
    assert "\n" not in message
    assert message.endswith(".")


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"prompt": 3},
        {"prompt": "a", "steps": "many"},
        {"prompt": "a", "steps": 2.5},
        {"prompt": "a", "steps": True},
        {"prompt": "a", "model_file": "/etc/passwd"},
        {"prompt": "a", "seed": math.nan},
        {"prompt": "a", "steps": 10**400},
        {"prompt": "a", "guidance_scale": -math.inf, "seed": 10**400},
        {"prompt": "half a pair: \ud83d"},
        {"prompt": "a", "negative_prompt": "\udfff"},
    ],
)
def test_wrong_types_and_unknown_names_are_refused(values: dict[str, object]) -> None:
    with pytest.raises(RequestError):
        GenerateRequest.from_dict(values)


def test_whole_numbers_may_arrive_as_floats() -> None:
    assert GenerateRequest.from_dict({"prompt": "a", "steps": 25.0}).steps == 25
