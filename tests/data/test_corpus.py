"""A corpus that is damaged, empty or another thing is one sentence."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ldm_core.data.corpus import Corpus, Entry, write_index

ENTRY = Entry("apple", "noto", "apple", "", ("red",), "train")


def corpus(folder: Path, rows: int = 1, split: str = "train") -> Path:
    write_index(folder / "index.tsv", [Entry(*list(ENTRY.__dict__.values())[:5], split)] * rows)  # type: ignore[arg-type]
    np.save(folder / "drawings.npy", np.zeros((rows, 128, 128, 4), np.uint8))
    return folder


def test_a_good_one(tmp_path: Path) -> None:
    assert len(Corpus(corpus(tmp_path, 3))) == 3


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("drawings.npy", b"hello", "is damaged"),
        ("drawings.npy", b"", "is damaged"),
        ("index.tsv", b"a\tb\n1\t2\n", "is damaged"),
        ("index.tsv", bytes(range(256)), "is damaged"),
    ],
)
def test_damaged_files(name: str, content: bytes, said: str, tmp_path: Path) -> None:
    (corpus(tmp_path) / name).write_bytes(content)
    with pytest.raises(ValueError, match=said) as error:
        Corpus(tmp_path)
    assert "\n" not in str(error.value)


def test_other_drawings_than_entries(tmp_path: Path) -> None:
    np.save(corpus(tmp_path) / "drawings.npy", np.zeros((2, 128, 128, 3), np.uint8))
    with pytest.raises(ValueError, match="1 entries, drawings of shape"):
        Corpus(tmp_path)


@pytest.mark.parametrize(("rows", "split"), [(0, "train"), (2, "heldout")])
def test_nothing_to_train_on(rows: int, split: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no drawings to train on"):
        Corpus(corpus(tmp_path, rows, split))
