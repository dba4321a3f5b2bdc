"""Retrieval and composition on features that say outright what a picture shows."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from ldm_core.data.captions import canonical_caption
from ldm_core.data.corpus import Entry
from ldm_core.data.kinds import heldout_captions, kind
from ldm_core.evaluation.judge import JudgeModel
from ldm_core.evaluation.retrieval import composition, retrieval
from ldm_core.models.judge import name_words

NAMES, STYLES = [f"thing {i}" for i in range(8)], ("flat style", "noto style")
CAPTIONS = [(name, STYLES[i % 2]) for i, name in enumerate(NAMES)]


class Plain(JudgeModel):
    """Features are one-hot: name, then style."""

    def __init__(self) -> None:
        self.network = SimpleNamespace(config=SimpleNamespace(styles=STYLES))  # type: ignore[assignment]

    def names(self, features: Tensor, names: list[str]) -> Tensor:  # type: ignore[override]
        return features[:, [NAMES.index(n) for n in names]]

    def styles(self, features: Tensor) -> Tensor:
        return features[:, len(NAMES) :]


def told(captions: list[tuple[str, str]]) -> Tensor:
    rows = [[NAMES.index(n), len(NAMES) + STYLES.index(s)] for n, s in captions]
    return torch.zeros(len(rows), len(NAMES) + 2).scatter_(1, torch.tensor(rows), 1.0)


def test_what_is_drawn_right_is_found():
    asked = torch.arange(8)
    real = told(CAPTIONS)
    assert [f.value for f in retrieval(Plain(), real, real, CAPTIONS, asked)] == [1.0, 1.0]
    assert all(f.value == f.real == 1.0 for f in composition(Plain(), real, real, CAPTIONS, asked))


def test_half_in_the_wrong_style_and_a_quarter_of_the_wrong_thing():
    asked = torch.arange(8)
    wrong = [(n, STYLES[0]) for n, _ in CAPTIONS[:6]] + [(NAMES[0], s) for _, s in CAPTIONS[6:]]
    found = {f.name: f for f in composition(Plain(), told(wrong), told(CAPTIONS), CAPTIONS, asked)}
    assert found["unseen pairs top-1"].value == 3 / 8 and found["unseen pairs top-1"].share == 3 / 8
    assert found["name alone top-1"].value == 6 / 8
    assert found["style alone"].value == 5 / 8
    assert retrieval(Plain(), told(wrong), told(CAPTIONS), CAPTIONS, asked)[0].target == 0.7


@pytest.mark.parametrize(
    ("same", "concepts"),
    [
        ("running", ["man running", "woman running", "person running facing right"]),
        ("artist", ["artist", "woman artist"]),
        ("arrow", ["left arrow", "up-right arrow"]),
        ("fist", ["left-facing fist", "right-facing fist"]),
        ("backhand index pointing", ["backhand index pointing up", "backhand index pointing left"]),
        ("person", ["man", "woman", "person"]),
        ("child", ["boy", "girl", "child"]),
        ("family", ["family man woman boy", "family"]),
        ("flag of isle of man", ["flag of isle of man"]),
        ("upside-down face", ["upside-down face"]),
        ("left luggage", ["left luggage"]),
        ("thumbs down", ["thumbs down"]),
    ],
)
def test_gender_and_direction_are_no_kinds(same: str, concepts: list[str]):
    assert {kind(c) for c in concepts} == {same}


def test_name_words():
    assert name_words("jack-o-lantern, keycap 2") == ["jack", "o", "lantern", "keycap", "2"]


def test_one_row_a_caption_without_a_tone_if_it_can_be():
    entries = [
        Entry("man cook", "flat style", "man cook", "dark", (), "heldout"),
        Entry("cook", "flat style", "cook", "", (), "heldout"),
        Entry("cook", "noto style", "cook", "light", (), "heldout"),
        Entry("cook", "blob style", "cook", "", (), "train"),
    ]
    corpus = SimpleNamespace(entries=entries, heldout=[0, 1, 2])
    assert heldout_captions(corpus) == {("cook", "flat style"): 1, ("cook", "noto style"): 2}  # type: ignore[arg-type]
    assert canonical_caption(entries[2]) == "cook, light skin tone, noto style"
