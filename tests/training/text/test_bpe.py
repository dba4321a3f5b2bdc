"""Vocabularies: trained, converted, and read by transformers."""

from __future__ import annotations

import gzip
from itertools import pairwise
from pathlib import Path
from zipfile import ZipFile

import pytest
from transformers import CLIPTokenizer

from ldm_core.text.tokenizer import read_vocab
from ldm_core.training.text import bpe

WEIGHTS = Path(__file__).parents[3] / "weights"
WORDS = {"lower": 5, "lowest": 4, "newer": 6, "wider": 3, "new": 2, "low": 5}


def naive_merges(words: dict[str, int], wanted: int) -> list[tuple[str, str]]:
    """Sennrich et al. 2016, algorithm 1, word by word; returns while the best pair is unique."""
    spelt = {word: [*word[:-1], word[-1] + "</w>"] for word in words}
    merges: list[tuple[str, str]] = []
    while len(merges) < wanted:
        counts: dict[tuple[str, str], int] = {}
        for word, pieces in spelt.items():
            for pair in pairwise(pieces):
                counts[pair] = counts.get(pair, 0) + words[word]
        best = max(counts.values())
        top = [pair for pair, n in counts.items() if n == best]
        if len(top) > 1:
            break
        merges.append(top[0])
        for word, pieces in spelt.items():
            i, merged = 0, []
            while i < len(pieces):
                joined = tuple(pieces[i : i + 2]) == top[0]
                merged.append("".join(pieces[i : i + 2]) if joined else pieces[i])
                i += 2 if joined else 1
            spelt[word] = merged
    return merges


def test_training_follows_the_published_algorithm():
    expected = naive_merges(WORDS, 8)
    assert len(expected) >= 2
    assert bpe.train_bpe(WORDS, 514 + len(expected)) == expected


def test_training_is_deterministic_among_ties():
    words = {a + b + c: 1 for a in "abcd" for b in "efgh" for c in "ijkl"}
    first = bpe.train_bpe(words, 540)
    assert len(first) == 540 - 514
    assert all(bpe.train_bpe(words, 540) == first for _ in range(3))


def test_too_few_words_are_an_error():
    with pytest.raises(ValueError, match="add words"):
        bpe.train_bpe({"ab": 1}, 6144)


def test_byte_alphabet_is_clips():
    alphabet = bpe.byte_alphabet()
    assert len(set(alphabet)) == 256
    peer = CLIPTokenizer.from_pretrained(WEIGHTS / "clip-tokenizer", local_files_only=True)
    assert peer.convert_ids_to_tokens(range(256)) == alphabet


def test_words_are_cut_as_clip_cuts_them():
    cut = bpe.pieces_of(["A Cat's  toy, 42 CATS"])
    assert sorted(cut.elements()) == sorted(["a", "cat", "'s", "toy", ",", "4", "2", "cats"])


def test_written_files_read_back(tmp_path: Path):
    merges = bpe.train_bpe(WORDS, 516)
    bpe.write_vocab(tmp_path, merges)
    assert read_vocab(tmp_path) == (bpe.assemble_vocab(merges), merges)
    assert len(CLIPTokenizer.from_pretrained(tmp_path, local_files_only=True)) == 516


def test_conversion_takes_the_first_48894_merges(tmp_path: Path):
    _, merges = read_vocab(WEIGHTS / "clip-tokenizer")
    wheel = tmp_path / "open_clip_torch-0-py3-none-any.whl"
    lines = ["#version", *(f"{a} {b}" for a, b in merges), "one more", ""]
    with ZipFile(wheel, "w") as archive:
        archive.writestr(bpe.OPEN_CLIP_MERGES, gzip.compress("\n".join(lines).encode()))
        archive.writestr("open_clip_torch-0.dist-info/" + bpe.OPEN_CLIP_LICENSE, "the licence")
    bpe.convert_open_clip(wheel, tmp_path / "out")
    for name in ("vocab.json", "merges.txt"):
        assert (tmp_path / "out" / name).read_bytes() == (WEIGHTS / "clip-tokenizer" / name).read_bytes()
    assert (tmp_path / "out/LICENSE").read_text() == "the licence"


def test_our_vocabulary_knows_its_captions():
    vocab, _ = read_vocab(WEIGHTS / "tokenizer")
    for word in ("noto", "twemoji", "style", "background", "skin", "tone", "dark", "teal", "apple", "woman"):
        assert word + "</w>" in vocab
