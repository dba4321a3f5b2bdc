"""The split is fixed, measures composition and leaks nothing; sampling weighs concepts, not files."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ldm_core.data.corpus import Corpus, Entry, read_index, write_index
from ldm_core.data.split import split

STYLES = ("noto style", "flat style", "blob style", "3d style")


def entries_of(pairs: set[tuple[int, int]]) -> list[Entry]:
    """Entries of concepts and styles by number; every third concept comes in two skin tones as well."""
    tones = {True: ("", "dark", "light"), False: ("",)}
    return [
        Entry(f"thing {c}", STYLES[s], f"thing {c}", tone, (), "train")
        for c, s in sorted(pairs)
        for tone in tones[c % 3 == 0]
    ]


PAIRS = st.sets(st.tuples(st.integers(0, 60), st.integers(0, 3)), max_size=150)


@given(PAIRS, st.randoms(use_true_random=False))
@settings(max_examples=60, deadline=None)
def test_split_measures_composition(pairs: set[tuple[int, int]], random) -> None:  # noqa: ANN001
    entries = entries_of(pairs)
    drawings = [
        random.choice([str(i), "shared"]).encode() if random.random() < 0.2 else str(i).encode()
        for i in range(len(entries))
    ]
    done = split(entries, drawings)
    train, heldout = ([e for e in done if e.split == kind] for kind in ("train", "heldout"))
    assert {(e.concept, e.style) for e in train} & {(e.concept, e.style) for e in heldout} == set()
    assert {e.concept for e in heldout} <= {e.concept for e in train}
    assert {e.style for e in heldout} <= {e.style for e in train}
    digest_of = dict(zip(done, drawings, strict=True))
    assert {digest_of[e] for e in heldout} & {digest_of[e] for e in train} == set()
    order = list(range(len(entries)))
    random.shuffle(order)
    again = split([entries[i] for i in order], [drawings[i] for i in order])
    assert set(again) == set(done)


def test_split_holds_out_a_twentieth() -> None:
    done = split(entries_of({(c, s) for c in range(300) for s in range(4)}), [str(i).encode() for i in range(2000)])
    pairs = {(e.concept, e.style): e.split for e in done}
    assert Counter(pairs.values()) == {"train": 1140, "heldout": 60}
    assert {s for (_, s), kind in pairs.items() if kind == "heldout"} == set(STYLES)


def test_split_is_the_same_for_good() -> None:
    """Weights trained before a change of code must still be measured on pairs they never saw."""
    done = split(entries_of({(c, s) for c in range(10) for s in range(4)}), [str(i).encode() for i in range(72)])
    assert {(e.concept, e.style) for e in done if e.split == "heldout"} == {
        ("thing 9", "3d style"),
        ("thing 1", "noto style"),
    }


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    """A handshake in 26 drawings and an apple in one, both in two styles; one pair is held out."""
    entries = [Entry("handshake", STYLES[0], "handshake", f"tone {i}", (), "train") for i in range(26)]
    entries += [Entry("handshake", STYLES[1], "handshake", "", (), "train")]
    entries += [Entry("apple", STYLES[0], "apple", "", ("fruit", "red"), "train")]
    entries += [Entry("apple", STYLES[1], "apple", "", ("fruit", "red"), "heldout")]
    np.save(tmp_path / "drawings.npy", np.zeros((29, 128, 128, 4), np.uint8))
    write_index(tmp_path / "index.tsv", entries)
    return Corpus(tmp_path)


def test_sampling_weighs_concepts_not_files(corpus: Corpus) -> None:
    rows = corpus.sample(np.random.default_rng(0), 6000)
    assert set(rows) == set(corpus.train)
    pairs = Counter((corpus.entries[r].concept, corpus.entries[r].style) for r in rows)
    for count in pairs.values():  # three pairs, so 2000 each: within five standard deviations
        assert abs(count - 2000) < 5 * np.sqrt(6000 / 3 * 2 / 3)
    assert not set(rows) & set(corpus.heldout)


@pytest.mark.parametrize(("tone_power", "handshakes"), [(0.0, 1.0), (0.5, 26**0.5), (1.0, 26.0)])
def test_a_pair_in_several_tones_weighs_by_their_number(corpus: Corpus, tone_power: float, handshakes: float) -> None:
    rows = corpus.sample(np.random.default_rng(0), 6000, tone_power)
    share = np.mean([bool(corpus.entries[r].tone) for r in rows])
    right = handshakes / (handshakes + 2)  # beside it an apple and a handshake without a tone
    assert abs(share - right) < 5 * np.sqrt(right * (1 - right) / 6000)


def test_sampling_follows_its_generator(corpus: Corpus) -> None:
    a, b = (corpus.sample(np.random.default_rng(3), 50) for _ in range(2))
    np.testing.assert_array_equal(a, b)
    assert (a != corpus.sample(np.random.default_rng(4), 50)).any()


def test_index_reads_back(corpus: Corpus, tmp_path: Path) -> None:
    assert read_index(tmp_path / "index.tsv") == corpus.entries
    assert isinstance(corpus.drawings, np.memmap)
    assert corpus.drawing(0).shape == (128, 128, 4)
