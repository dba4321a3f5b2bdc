"""Captions say the whole structure and can be read back; spans point at the nouns."""

from __future__ import annotations

import numpy as np
import pytest

from ldm_core.data.corpus import Corpus
from ldm_core.data.scenes.captions import OPPOSITE, caption
from ldm_core.data.scenes.draw import Drawings
from ldm_core.data.scenes.sampling import MIX, SceneSampler
from ldm_core.data.scenes.structure import Box, Scene, Thing
from ldm_core.data.scenes.things import nouns
from tests.data.scenes.read_caption import read_caption

COMPOSED = {kind: share for kind, share in MIX.items() if kind not in ("original", "moved")}


def test_a_caption_read_back_is_its_scene(corpus: Corpus, drawings: Drawings):
    sampler, rng = SceneSampler(corpus, drawings, COMPOSED), np.random.default_rng(1)
    styles = set()
    for _ in range(400):
        scene = sampler(rng)
        said = caption(scene, rng)
        read = read_caption(said.text)
        shown = [(t.name, t.number, t.colour) for t in scene.things]
        assert sorted((t.name, t.number, t.colour) for t in read.things) == sorted(shown), said.text
        turned = [t.name for t in read.things] != [t.name for t in scene.things]
        assert read.relation == (OPPOSITE[scene.relation] if turned else scene.relation), said.text
        assert read.background == scene.background
        assert read.style in ("", scene.style)
        styles.add(read.style)
        for thing, (start, end) in zip(scene.things, said.spans, strict=True):
            about, _ = nouns()[said.text[start:end]]
            assert about.name == thing.name
    assert len(styles) == 2  # said in about half of them


def test_captions_vary_and_a_seed_repeats_them():
    box = Box(0, 0, 50, 50)
    scene = Scene("position", (Thing("tree", 0, (box,)), Thing("airplane", 1, (box,))), "noto style", relation="left")
    texts = [caption(scene, np.random.default_rng(seed)).text for seed in range(60)]
    assert texts == [caption(scene, np.random.default_rng(seed)).text for seed in range(60)]
    for part in ("left of", "right of", "a tree", "airplane", "plane", "noto style", "picture of"):
        assert any(part in text for text in texts) and not all(part == text for text in texts), part


@pytest.mark.parametrize(
    ("text", "things_said", "relation", "style", "background"),
    [
        ("two red apples", [("apple", 2, "red")], "", "", "white"),
        ("a purple cat, noto style, on a blue background", [("cat", 1, "purple")], "", "noto style", "blue"),
        ("an image of 3 mice", [("mouse", 3, "")], "", "", "white"),
        ("a car under an ice cream cone", [("car", 1, ""), ("ice cream cone", 1, "")], "below", "", "white"),
        ("a burger to the left of scissors", [("hamburger", 1, ""), ("scissors", 1, "")], "left", "", "white"),
    ],
)
def test_reading(text: str, things_said: list[tuple[str, int, str]], relation: str, style: str, background: str):
    read = read_caption(text)
    assert [(t.name, t.number, t.colour) for t in read.things] == things_said
    assert (read.relation, read.style, read.background) == (relation, style, background)
