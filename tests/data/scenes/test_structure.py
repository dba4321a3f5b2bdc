"""Held-out combinations: decided by concept, in any order, by any word, and nowhere in what training draws."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

import numpy as np
import pytest

from ldm_core.data.colours import THING_COLOURS
from ldm_core.data.corpus import Corpus
from ldm_core.data.scenes.draw import Drawings
from ldm_core.data.scenes.sampling import MIX, SceneSampler
from ldm_core.data.scenes.structure import HELD_OUT_SHARE, held_out
from ldm_core.data.scenes.things import things
from tests.data.scenes.read_caption import read_caption

COMPOSED = {kind: share for kind, share in MIX.items() if kind not in ("original", "moved")}


def held_out_in(text: str) -> Iterator[tuple[object, ...]]:
    """Held-out combinations that a caption says, read from its words alone."""
    said = read_caption(text).things
    for thing in said:
        if thing.colour and held_out("colour", thing.colour, thing.name):
            yield "colour", thing.colour, thing.name
        if thing.number > 1 and held_out("number", thing.number, thing.name):
            yield "number", thing.number, thing.name
    for one, other in combinations(said, 2):
        if held_out("pair", one.name, other.name):
            yield "pair", one.name, other.name


@pytest.mark.parametrize("draws", [8_000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_no_training_caption_says_a_held_out_combination(corpus: Corpus, drawings: Drawings, draws: int):
    sampler, rng = SceneSampler(corpus, drawings, COMPOSED), np.random.default_rng(5)
    captions_a_scene = 10
    for _ in range(draws // captions_a_scene):
        scene = sampler(rng)
        for text in (sampler.caption(scene, rng).text for _ in range(captions_a_scene)):
            assert not list(held_out_in(text)), text


def test_validation_captions_all_say_one(corpus: Corpus, drawings: Drawings):
    sampler, rng = SceneSampler(corpus, drawings, COMPOSED, trained=False), np.random.default_rng(6)
    for _ in range(200):
        assert list(held_out_in(sampler.caption(sampler(rng), rng).text))


def test_a_pair_has_no_order_and_a_thing_goes_by_any_word():
    assert {held_out("pair", "cat", n) == held_out("pair", n, "cat") for n in things()} == {True}
    for number in (2, 3, 4):
        one = {held_out("number", number, w) for w in ("car", "cars", "automobile")}
        assert len(one) == 1


def test_shares_are_about_what_they_say():
    names = list(things())
    found = {
        "colour": [held_out("colour", c, n) for c in THING_COLOURS for n in names],
        "pair": [held_out("pair", a, b) for a, b in combinations(names, 2)],
        "number": [held_out("number", k, n) for k in (2, 3, 4) for n in names],
    }
    for kind, held in found.items():
        share = HELD_OUT_SHARE[kind]  # type: ignore[index]
        assert abs(np.mean(held) - share) < 4 * (share * (1 - share) / len(held)) ** 0.5


def test_a_colour_in_the_corpus_s_own_name_is_never_held_out():
    assert not held_out("colour", "red", "apple")
    assert not held_out("colour", "green", "apple")


def test_an_unknown_thing_is_refused():
    with pytest.raises(KeyError):
        held_out("pair", "cat", "zeppelin")
