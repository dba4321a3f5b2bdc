"""The mix is the settings', and its kinds are what they are called."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from ldm_core.data.corpus import Corpus
from ldm_core.data.scenes.draw import Drawings
from ldm_core.data.scenes.layout import STEEP, relation_of
from ldm_core.data.scenes.sampling import COMMON, MIX, SceneSampler
from ldm_core.data.scenes.things import things


def test_shares_and_kinds(corpus: Corpus, drawings: Drawings):
    sampler, rng = SceneSampler(corpus, drawings), np.random.default_rng(0)
    scenes = [sampler(rng) for _ in range(600)]
    counts = Counter(s.kind for s in scenes)
    for kind, share in MIX.items():
        assert abs(counts[kind] / len(scenes) - share) < 0.06
    for scene in scenes:
        numbers = [t.number for t in scene.things]
        colours = [bool(t.colour) for t in scene.things]
        assert all(corpus.entries[t.row].split == "train" for t in scene.things)
        assert {corpus.entries[t.row].style for t in scene.things} == {scene.style}
        if scene.kind in ("two", "position", "attribution"):
            assert numbers == [1, 1]
            assert colours == [scene.kind == "attribution"] * 2
            assert scene.things[0].colour != scene.things[1].colour or not any(colours)
        if scene.kind == "position":
            one, other = (thing.boxes[0].centre for thing in scene.things)
            assert relation_of(one, other, STEEP) == scene.relation
        if scene.kind == "count":
            assert len(numbers) == 1 and 2 <= numbers[0] <= 4
            assert things()[scene.things[0].name].counted
        if scene.kind == "colour":
            assert colours == [True]


def test_common_things_come_more_often(corpus: Corpus, drawings: Drawings):
    sampler, rng = SceneSampler(corpus, drawings, {"two": 1.0}), np.random.default_rng(1)
    drawn = Counter(things()[t.name].common for _ in range(800) for t in sampler(rng).things)
    known = Counter(things()[name].common for rows in sampler.rows.values() for name in rows)
    assert known[True] > 5 and known[False] > 5
    often = (drawn[True] / known[True]) / (drawn[False] / known[False])
    assert 0.7 * COMMON < often < 1.3 * COMMON


def test_a_bad_mix_is_refused(corpus: Corpus, drawings: Drawings):
    for mix in ({}, {"two": 0.0}, {"two": -1.0, "count": 2.0}):
        with pytest.raises(ValueError, match="mix"):
            SceneSampler(corpus, drawings, mix)  # type: ignore[arg-type]
