"""The corpus on disk, read: drawings memory-mapped, one entry a row."""

from __future__ import annotations

import csv
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

SIZE = 128  # pixels along a side
Split = Literal["train", "heldout"]


@dataclass(frozen=True)
class Entry:
    """What one drawing shows. `name` is the set's own wording, `concept` the one all sets and skin tones share."""

    name: str
    style: str
    concept: str
    tone: str
    tags: tuple[str, ...]
    split: Split


def write_index(path: Path, entries: list[Entry]) -> None:
    """One row per drawing, in the drawings' order; tags joined by '|'."""
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file, delimiter="\t")
        rows.writerow(["row", *(f.name for f in fields(Entry))])
        for number, e in enumerate(entries):
            name, style, concept, tone, tags, split = astuple(e)
            rows.writerow([number, name, style, concept, tone, "|".join(tags), split])


def read_index(path: Path) -> list[Entry]:
    """The inverse of write_index."""
    with path.open(newline="", encoding="utf-8") as file:
        return [_entry(row) for row in csv.DictReader(file, delimiter="\t")]


def _entry(row: dict[str, str]) -> Entry:
    tags = tuple(tag for tag in row["tags"].split("|") if tag)
    split: Split = "heldout" if row["split"] == "heldout" else "train"
    return Entry(row["name"], row["style"], row["concept"], row["tone"], tags, split)


class Corpus:
    """Drawings uint8 RGBA [N,128,128,4] and their entries. ValueError where none was built."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        if not (self.path / "index.tsv").exists():
            raise ValueError(f"no corpus in {self.path}: `python -m ldm_core data emoji --out DIR` builds it")
        try:
            self.entries = read_index(self.path / "index.tsv")
            self.drawings: NDArray[np.uint8] = np.load(self.path / "drawings.npy", mmap_mode="r")
        except (OSError, EOFError, ValueError, LookupError, TypeError, AttributeError, csv.Error) as error:
            raise ValueError(f"the corpus in {self.path} is damaged: {str(error).splitlines()[0]}") from error
        shape, rows = self.drawings.shape, len(self.entries)
        if self.drawings.dtype != np.uint8 or len(shape) != 4 or (shape[0], shape[3]) != (rows, 4):
            raise ValueError(f"the corpus in {self.path} is damaged: {rows} entries, drawings of shape {shape}")
        split = np.array([e.split for e in self.entries])
        self.train = np.flatnonzero(split == "train")
        if not len(self.train):
            raise ValueError(f"the corpus in {self.path} has no drawings to train on")
        self.heldout = np.flatnonzero(split == "heldout")
        groups: dict[tuple[str, str], list[int]] = {}
        for row in self.train:
            groups.setdefault((self.entries[row].concept, self.entries[row].style), []).append(int(row))
        self.groups = [np.array(rows) for rows in groups.values()]
        self._sizes = np.array([len(rows) for rows in self.groups], np.float64)

    def __len__(self) -> int:
        return len(self.entries)

    def require_heldout(self) -> NDArray[np.int64]:
        """`heldout`, for whoever validates on it: ValueError where nothing is held out."""
        if not len(self.heldout):
            raise ValueError(f"the corpus in {self.path} has no held-out drawings to validate on")
        return self.heldout

    def drawing(self, row: int) -> NDArray[np.uint8]:
        """RGBA [128,128,4], straight alpha."""
        return np.asarray(self.drawings[row])

    def sample(self, rng: np.random.Generator, n: int, tone_power: float = 0.0) -> NDArray[np.int64]:
        """n training rows: first a (concept, style), then one of its skin tones.

        A pair with k drawings weighs k to the power of `tone_power`: at 0 26 handshakes weigh as one apple, at 1 as 26.
        """
        upto = np.cumsum(self._sizes**tone_power)
        chosen = np.searchsorted(upto, rng.random(n) * upto[-1], side="right")
        return np.array([rng.choice(self.groups[g]) for g in chosen])
