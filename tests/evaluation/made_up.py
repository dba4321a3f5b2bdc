"""A corpus of a few drawn shapes in five styles and five skin tones, small enough to evaluate in seconds."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ldm_core.data.corpus import Corpus, Entry, write_index
from ldm_core.data.names import TONES

SIDE = 32
STYLES = ("noto style", "flat style", "blob style", "fx style", "3d style")
CONCEPTS = {"cat": (200, 60, 60), "car": (60, 60, 200), "dog": (60, 180, 60), "moon": (230, 210, 60)}
SKIN = {  # the five tones of a well-known set
    "light": (247, 222, 206),
    "medium-light": (243, 210, 162),
    "medium": (213, 171, 136),
    "medium-dark": (175, 126, 87),
    "dark": (124, 83, 62),
}
HAIR, SHIRT = (40, 40, 45), (59, 136, 195)


def face(tone: str, side: int = SIDE) -> np.ndarray:
    """RGBA: a face with hair above it and a shirt below."""
    picture = np.zeros((side, side, 4), np.uint8)
    a, b = side // 4, 3 * side // 4
    picture[a:b, a:b] = (*SKIN[tone], 255)
    picture[a : a + side // 8, a:b] = (*HAIR, 255)
    picture[b - side // 8 : b, a:b] = (*SHIRT, 255)
    return picture


def shape(concept: str, style: str) -> np.ndarray:
    """RGBA: a block of the concept's colour, as large as the style says."""
    picture = np.zeros((SIDE, SIDE, 4), np.uint8)
    margin = 5 + STYLES.index(style)
    picture[margin:-margin, margin:-margin] = (*CONCEPTS[concept], 255)
    return picture


def make_corpus(folder: Path) -> Corpus:
    """Each concept in every style; one style of each is held out, and waving hands of one style."""
    drawings, entries = [], []
    for i, concept in enumerate(CONCEPTS):
        for j, style in enumerate(STYLES):
            drawings.append(shape(concept, style))
            entries.append(Entry(concept, style, concept, "", (), "heldout" if j == i else "train"))
    for name, split in (("waving hand", "train"), ("man waving", "heldout")):
        for tone in TONES:
            drawings.append(face(tone))
            entries.append(Entry(name, STYLES[0], name, tone, (), split))  # type: ignore[arg-type]
    drawings.append(shape("cat", STYLES[1]))
    entries.append(Entry("waving", STYLES[1], "man waving", "", (), "train"))
    folder.mkdir(parents=True)
    np.save(folder / "drawings.npy", np.stack(drawings))
    write_index(folder / "index.tsv", entries)
    return Corpus(folder)
