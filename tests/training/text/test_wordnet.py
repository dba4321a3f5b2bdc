"""WordNet's files, in the form wndb(5WN) gives them."""

from __future__ import annotations

from pathlib import Path

from ldm_core.text.tokenizer import Tokenizer
from ldm_core.training.text.teacher import definitions, teaching_words
from ldm_core.training.text.wordnet import PARTS, Lemma, read_wordnet

WEIGHTS = Path(__file__).parents[3] / "weights"
NOUNS = """  1 licence text
00000100 05 n 01 animal 0 000 | a living thing; "an example"
00000200 05 n 02 cat 0 true_cat 0 001 @ 00000100 n 0000 | a small feline; sits on mats
00000300 18 n 01 Felix 0 001 @i 00000100 n 0000 | a name
"""
INDEX = """  1 licence text
cat n 1 1 @ 1 1 00000200
felix n 1 1 @ 1 0 00000300
true_cat n 1 1 @ 1 0 00000200
"""


def write(folder: Path) -> Path:
    for part in PARTS:
        (folder / f"data.{part}").write_text(NOUNS if part == "noun" else "  1 licence text\n")
        (folder / f"index.{part}").write_text(INDEX if part == "noun" else "  1 licence text\n")
    (folder / "cntlist.rev").write_text("cat%1:05:00:: 1 7\ncat%1:05:01:: 2 2\ncat%2:35:00:: 1 1\n")
    return folder


def test_lemmas(tmp_path: Path):
    cat, felix, true_cat = read_wordnet(write(tmp_path))
    assert cat == Lemma("cat", "noun", 5, "a small feline", ("true cat",), "animal", 9, False)
    assert cat.drawable and cat.definition == "cat, true cat, a kind of animal: a small feline"
    assert felix.proper and not felix.drawable
    assert true_cat.text == "true cat" and true_cat.synonyms == ("cat",) and true_cat.count == 0


def test_words_worth_teaching(tmp_path: Path):
    lemmas = read_wordnet(write(tmp_path))
    common, rare = teaching_words(lemmas, Tokenizer.load(WEIGHTS / "clip-tokenizer", 77))
    assert (common, rare) == (["cat"], [])
    assert set(definitions(lemmas, {"cat", "dog"})) == {"cat"}
