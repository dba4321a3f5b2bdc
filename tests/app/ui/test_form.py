"""Form ↔ request."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.i18n import say
from app.schemas import RequestError, check_params
from app.ui.examples import EXAMPLES
from app.ui.fields import FIELDS, SEEDS, request_from, values_from
from ldm_core.sampling import Limits, SamplingParams

sizes = st.sampled_from([None, 32, 128, 256])
requests = st.builds(
    SamplingParams,
    prompt=st.text(min_size=1),
    negative_prompt=st.text(),
    steps=st.integers(1, 1000),
    eta=st.floats(0, 1),
    guidance_scale=st.floats(0, 20),
    seed=st.none() | st.integers(0, 2**32 - 8),
    width=sizes,
    height=sizes,
    batch=st.integers(1, 8),
    strength=st.floats(0.02, 1),
)


@given(requests)
def test_form_and_request_are_inverse(request: SamplingParams):
    limits = Limits()
    values = values_from(request, limits)
    again = request_from(values)
    assert (again.width, again.height) == (request.width or 128, request.height or 128)
    assert values_from(again, limits) == values


def test_browsers_send_whole_numbers_as_either_kind():
    values = dict(zip(FIELDS, values_from(SamplingParams("a"), Limits()), strict=True))
    assert request_from([*(values | {"steps": 25.0, "eta": 0}).values()]).steps == 25


@pytest.mark.parametrize("name", ["steps", "eta", "strength"])
def test_an_emptied_number_is_one_sentence(name: str):
    values = dict(zip(FIELDS, values_from(SamplingParams("a"), Limits()), strict=True))
    with pytest.raises(RequestError, match=r"must be a number\.$"):
        request_from([*(values | {name: None}).values()])


def test_examples_are_requests():
    assert len(EXAMPLES) == len(set(EXAMPLES)) == 8
    for key in EXAMPLES:
        check_params(SamplingParams(say("en", key)), Limits())


def test_an_emptied_seed_is_drawn():
    values = dict(zip(FIELDS, values_from(SamplingParams("a", seed=3), Limits()), strict=True))
    assert values["seed"] == "3"
    for emptied in (None, "", " "):
        assert request_from([*(values | dict.fromkeys(SEEDS, emptied)).values()]).seed is None


@pytest.mark.parametrize("typed", ["many", "1.5", "-5", "99999999999"])
def test_a_seed_is_used_as_typed_or_refused(typed: str):
    values = dict(zip(FIELDS, values_from(SamplingParams("a"), Limits()), strict=True))
    with pytest.raises(RequestError) as refused:
        request_from([*(values | {"seed": typed}).values()])
    assert refused.value.setting == "seed"


@pytest.mark.parametrize("typed", ["3", " 3 ", "3.0", 3])
def test_a_number_of_pictures_typed_into_its_list_is_a_number(typed: str | int):
    values = dict(zip(FIELDS, values_from(SamplingParams("a"), Limits()), strict=True))
    assert request_from([*(values | {"batch": typed}).values()]).batch == 3
    for no_number in ("three", "", None):
        with pytest.raises(RequestError, match=r"must be a number\.$") as refused:
            request_from([*(values | {"batch": no_number}).values()])
        assert refused.value.setting == "batch"
