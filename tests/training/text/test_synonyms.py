"""Which dictionary words become captions: the teacher proposes, WordNet or certainty decides."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ldm_core.data.corpus import Corpus, Entry, write_index
from ldm_core.training.text.batches import Words
from ldm_core.training.text.wordnet import PERSON, Lemma
from scripts.synonyms import find_synonyms, spelt_alike

THING = 6
NAMES = ("ship", "camel", "dog", "teacher")
WORDS = ("boat", "camera", "fox", "tutor", "far")
COSINES = {"boat": (0, 0.6), "camera": (1, 0.8), "fox": (2, 0.47), "tutor": (3, 0.8), "far": (0, 0.3)}


def lemma(text: str, topic: int = THING, kind: str = "") -> Lemma:
    return Lemma(text, "noun", topic, "a thing", (), kind, 1, False)


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    write_index(tmp_path / "index.tsv", [Entry(n, "noto style", n, "", (), "train") for n in NAMES])
    np.save(tmp_path / "drawings.npy", np.zeros((len(NAMES), 128, 128, 4), np.uint8))
    return Corpus(tmp_path)


@pytest.fixture
def words() -> Words:
    """Names as far from each other as vectors can be, each word at a known cosine to one of them."""
    names = np.concatenate([np.eye(4), np.zeros((4, 380))], 1)
    centre = names.mean(0)
    centred = (names - centre) / np.linalg.norm(names - centre, axis=1, keepdims=True)
    aside = np.zeros((len(WORDS), 384))
    aside[np.arange(len(WORDS)), 10 + np.arange(len(WORDS))] = 1.0
    near = [
        centre + cosine * centred[i] + (1 - cosine**2) ** 0.5 * away
        for (i, cosine), away in zip((COSINES[w] for w in WORDS), aside, strict=True)
    ]
    vectors = np.concatenate([names, near]).astype(np.float32)
    texts = [*NAMES, *WORDS]
    return Words(texts, vectors, np.ones(len(texts), np.int64), len(NAMES), len(WORDS))


def test_a_sure_teacher_suffices_unless_the_spelling_misled_it(corpus: Corpus, words: Words) -> None:
    lemmas = [*map(lemma, ("boat", "camera", "fox", "far")), lemma("tutor", PERSON)]
    assert find_synonyms(corpus, words, lemmas) == {"ship": ["boat"]}


def test_wordnet_decides_where_the_teacher_is_less_sure(corpus: Corpus, words: Words) -> None:
    lemmas = [lemma("fox", kind="dog"), lemma("camera", kind="camel"), lemma("far", kind="ship")]
    assert find_synonyms(corpus, words, lemmas) == {"camel": ["camera"], "dog": ["fox"]}


@pytest.mark.parametrize(
    ("word", "name", "alike"),
    [("camellia", "camel", True), ("starfish", "fish", True), ("kayak", "canoe", False), ("onyx", "ox", False)],
)
def test_spelt_alike(word: str, name: str, alike: bool) -> None:
    assert spelt_alike(word, name) is alike
