from __future__ import annotations

import math
import time

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ldm_core.pipeline import Pipeline
from ldm_core.text.prompt_syntax import Piece, parse, plain
from ldm_core.text.prompt_weighting import token_weights, weigh
from tests.test_pipeline import Letters
from tests.tiny import tiny_model


@pytest.mark.parametrize(
    ("prompt", "pieces"),
    [
        ("a red apple", [("a red apple", 1.0)]),
        ("a (red) apple", [("a ", 1.0), ("red", 1.1), (" apple", 1.0)]),
        ("a ((red)) apple", [("a ", 1.0), ("red", 1.21), (" apple", 1.0)]),
        ("[red] apple", [("red", 1 / 1.1), (" apple", 1.0)]),
        ("(red:1.3) apple", [("red", 1.3), (" apple", 1.0)]),
        ("(red: .5 )", [("red", 0.5)]),
        ("(red:-1)", [("red", -1.0)]),
        ("(a (red:2) apple:1.5)", [("a ", 1.5), ("red", 3.0), (" apple", 1.5)]),
        (r"a smile \(happy\)", [("a smile (happy)", 1.0)]),
        (r"(\(red\):1.2)", [("(red)", 1.2)]),
        (r"back\\slash", [(r"back\slash", 1.0)]),
        ("at 10:30", [("at 10:30", 1.0)]),
        ("red) apple]", [("red) apple]", 1.0)]),
        ("a (red apple", [("a ", 1.0), ("red apple", 1.1)]),
        ("red:1.3)", [("red:1.3)", 1.0)]),
        ("", []),
        ("()", []),
    ],
)
def test_syntax(prompt: str, pieces: list[tuple[str, float]]):
    got = parse(prompt)
    assert [p.text for p in got] == [t for t, _ in pieces]
    assert [p.weight for p in got] == pytest.approx([w for _, w in pieces])


@given(st.text(alphabet="ab ()[]:\\1.,", max_size=30))
def test_any_text_parses_and_escaping_protects_it(prompt: str):
    parse(prompt)
    escaped = "".join("\\" + c if c in "()[]\\" else c for c in prompt)
    assert parse(escaped) == ([Piece(prompt, 1.0)] if prompt else [])


def test_deep_nesting_takes_time_in_proportion():
    start = time.perf_counter()
    (*_, last) = parse("(a" * 8000)
    assert last.weight == math.inf
    assert time.perf_counter() - start < 2  # each bracket multiplied all that followed it: minutes


def test_tokens_take_the_weight_of_the_piece_they_begin_in():
    pieces = parse("a (red:2) apple")
    assert plain(pieces) == "a red apple"
    spans = [(0, 1), (2, 5), (6, 9), (9, 11)]
    assert token_weights(pieces, spans, 8).tolist() == [1, 1, 2, 1, 1, 1, 1, 1]
    assert token_weights(pieces, spans, 4).tolist() == [1, 1, 2, 1]


@pytest.mark.parametrize(
    "prompt", ["(cat:101)", "(cat:-101)", "(cat:" + "9" * 400 + ")", "((cat:" + "9" * 400 + "):0)", "(" * 1500 + "cat"]
)
def test_a_weight_beyond_all_reason_is_refused(prompt: str):
    pipe = Pipeline(tiny_model(), Letters())  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"^a prompt weight must lie in -100…100, not "):
        pipe.stream(prompt, steps=1)


def test_the_mean_is_restored():
    context = torch.randn(6, 10, generator=torch.Generator().manual_seed(0)) + 0.5
    weights = torch.tensor([1.0, 1.3, 0.8, 1.0, 1.0, 1.0])
    heavy = weigh(context, weights)
    torch.testing.assert_close(heavy.mean(), context.mean())
    ratio = heavy / context
    torch.testing.assert_close(ratio[1] / ratio[0], torch.full((10,), 1.3))
    torch.testing.assert_close(ratio[2] / ratio[5], torch.full((10,), 0.8))
    assert weigh(context, torch.ones(6)) is context
    centred = context - context.mean()  # dividing by a mean of nothing would blow everything up
    heavy = weigh(centred, weights)
    assert float(heavy.abs().max()) < 2 * float(centred.abs().max())
    assert float(heavy.mean()) == pytest.approx(float(centred.mean()), abs=1e-6)


def test_the_pipeline_hears_weights():
    pipe = Pipeline(tiny_model(), Letters())  # type: ignore[arg-type]
    plain_context = pipe.encode_prompt("a cat")
    assert torch.equal(plain_context, pipe.encode_prompt("(a cat:1.0)"))
    heavy = pipe.encode_prompt("a (cat:1.5)")
    assert not torch.equal(plain_context, heavy)
    ratio = (heavy / plain_context).median(dim=1).values
    assert float(ratio[3] / ratio[0]) == pytest.approx(1.5, rel=1e-3)
    assert float(ratio[1] / ratio[0]) == pytest.approx(1.0, rel=1e-3)
    assert torch.equal(pipe.encode_prompt(r"\(a\)"), pipe.encode_prompt(r"\(a\)"))
