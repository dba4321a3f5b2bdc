"""Attention maps are softmaxes over tokens, the network's own, and named by the tokens they belong to."""

from __future__ import annotations

from copy import deepcopy

import numpy as np
import pytest
import torch

from app.labs.attention.maps import (
    ALL,
    MEAN,
    AttentionMaps,
    attention_maps,
    layer_name,
    of_token,
    over_picture,
    over_steps_plot,
    shares,
    shares_over_steps,
    shares_plot,
    whole,
)
from app.labs.common.tokens import tokens_of
from app.labs.common.trajectory import Trajectory, record
from ldm_core.models.latent_diffusion import LatentDiffusion
from ldm_core.pipeline import Pipeline
from ldm_core.runtime.torch import TorchRuntime
from ldm_core.sampling import SamplingParams
from tests.app.labs.studies import answer
from tests.tiny import tiny_pipeline

PROMPT = "a (red) apple 🍎"


@pytest.fixture(scope="module")
def pipe() -> Pipeline:
    return tiny_pipeline()


@pytest.fixture(scope="module")
def walk(pipe: Pipeline) -> Trajectory:
    return answer(record(pipe, SamplingParams(PROMPT, steps=2)))[0]


@pytest.fixture(scope="module")
def looked(pipe: Pipeline, walk: Trajectory) -> AttentionMaps:
    return answer(attention_maps(pipe, walk, 2))[0]


class Elsewhere(TorchRuntime):
    """Answers like torch without running the model's own modules, as a compiled graph does."""

    name = "elsewhere"

    def __init__(self, model: LatentDiffusion) -> None:
        super().__init__(deepcopy(model))


def test_maps_are_torch_s_whatever_makes_the_pictures(pipe: Pipeline, walk: Trajectory, looked: AttentionMaps):
    elsewhere = pipe.with_runtime(Elsewhere(pipe.model))
    maps, _ = answer(attention_maps(elsewhere, walk, 2))
    assert maps.maps.keys() == looked.maps.keys()
    for name, kept in maps.maps.items():
        torch.testing.assert_close(torch.as_tensor(kept), torch.as_tensor(looked.maps[name]))
    answer(shares_over_steps(elsewhere, walk, ALL, MEAN))


def test_every_token_has_its_place(pipe: Pipeline):
    tokens = tokens_of(pipe, PROMPT)
    assert tokens[0].kind == "start"
    assert [t.text for t in tokens[1:4]] == ["a", "red", "apple"]  # weights' signs are no text
    ids = pipe.tokenizer.encode(["a red apple 🍎"])[0]
    end = next(t for t in tokens if t.kind == "end")
    assert ids[end.first] == pipe.tokenizer.eos != ids[end.first - 1]
    assert tokens[-1].kind == "padding"
    assert (tokens[-1].first, tokens[-1].last) == (end.last + 1, len(ids) - 1)
    crowded = tokens_of(pipe, "apple " * 200)
    assert crowded[-1].kind == "end"
    assert crowded[-1].last == len(ids) - 1


@pytest.mark.parametrize("head", [MEAN, 1, 2])
def test_maps_sum_to_one_over_tokens(looked: AttentionMaps, head: int):
    for layer in (ALL, *looked.maps):
        both = whole(looked.maps, layer, head)
        torch.testing.assert_close(both.sum(dim=-1), torch.ones(both.shape[:2]))
        by_token = sum(of_token(looked.maps, t, layer, head) for t in looked.tokens)
        np.testing.assert_allclose(by_token, 1.0, rtol=1e-5)
        assert shares(looked.maps, looked.tokens, layer, head).sum() == pytest.approx(1.0)


def test_maps_are_an_explicit_softmax(pipe: Pipeline, walk: Trajectory, looked: AttentionMaps):
    name = next(iter(looked.maps))
    attn = pipe.model.model.diffusion_model.get_submodule(name).attn2
    seen: list[torch.Tensor] = []
    handle = attn.register_forward_pre_hook(lambda _m, args: seen.extend(args))
    moment, context = walk.steps[1], pipe.encode_prompt(PROMPT)
    with torch.no_grad():
        pipe.model.apply_model(moment.x[None], torch.tensor([moment.t]), context[None])
    handle.remove()
    q, k = seen[0][0] @ attn.to_q.weight.T, seen[1][0] @ attn.to_k.weight.T
    d = q.shape[1] // attn.heads
    for head in range(attn.heads):
        part = slice(head * d, (head + 1) * d)
        scores = (q[:, part] @ k[:, part].T / d**0.5).exp()
        expected = scores / scores.sum(dim=1, keepdim=True)
        torch.testing.assert_close(looked.maps[name][head].flatten(0, 1), expected, rtol=1e-4, atol=1e-6)
    assert layer_name(name, looked.maps).startswith("input_blocks.1, ")


def test_pictures_and_plots(pipe: Pipeline, walk: Trajectory, looked: AttentionMaps):
    flat = np.ones((4, 4))
    assert over_picture(flat, looked.picture).shape == looked.picture.shape
    assert (over_picture(flat, looked.picture) != over_picture(0 * flat, looked.picture)).any()
    assert "apple" in shares_plot(looked, 3, ALL, MEAN, "en").x.ticks
    over, steps = answer(shares_over_steps(pipe, walk, ALL, MEAN))
    assert len(steps) == 2
    np.testing.assert_allclose(over.sum(axis=0), 1.0)
    np.testing.assert_allclose(over[:, 1], shares(looked.maps, looked.tokens, ALL, MEAN))
    plot = over_steps_plot(over, looked.tokens, "zh")
    assert plot.heat is not None
    pieces = [k for k, token in enumerate(looked.tokens) if token.kind == "piece"]
    np.testing.assert_array_equal(plot.heat.values, over[pieces])
