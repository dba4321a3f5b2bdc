"""What the text encoder learns from: words with the teacher's vectors, and drawings with captions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from ldm_core.data.captions import NAMED_BACKGROUND, caption, tone_words
from ldm_core.data.colours import BACKGROUNDS
from ldm_core.data.corpus import Corpus
from ldm_core.data.english import plural, with_article
from ldm_core.images import composite, to_tensor
from ldm_core.text.tokenizer import Tokenizer

CAPTIONED = 0.25  # share of the word batches that look like captions
PLURAL = 0.05  # share of the words that stand in the plural; what that changes, a drawing does not show
Vectors = NDArray[np.float32]


@dataclass(frozen=True)
class Words:
    """N texts and the unit vectors to learn of them [N,384]: `own` of the corpus, `common` ones, then the rest."""

    texts: Sequence[str]
    vectors: Vectors
    lengths: NDArray[np.integer]  # in tokens
    own: int
    common: int
    people: frozenset[str] = frozenset()  # texts that name people

    def draw(self, rng: np.random.Generator, n: int) -> NDArray[np.integer]:
        """n rows of about the same length, so that little padding is computed: the shortest n, the next n, … of 4·n
        drawn ones, a quarter of them from the corpus, two fifths from the common words, the others from the rest.
        """
        ends = np.array([0, self.own, self.own + self.common, len(self.texts)])
        part = rng.choice(3, size=4 * n, p=(0.25, 0.4, 0.35))
        rows = rng.integers(ends[part], ends[part + 1])
        start = n * rng.integers(4)
        return rows[np.argsort(self.lengths[rows], kind="stable")][start : start + n]

    def targets(self, texts: Sequence[str]) -> Tensor:
        """Vectors float32 [B,384] of some of the texts."""
        return torch.from_numpy(self.vectors[[self._row[text] for text in texts]])

    @cached_property
    def _row(self) -> dict[str, int]:
        return {text: i for i, text in enumerate(self.texts)}


@dataclass(frozen=True)
class Pairs:
    """A contrastive batch: ids [B,L], images [B,3,s,s] in [-1,1], rows of the corpus, captions."""

    ids: Tensor
    images: Tensor
    rows: NDArray[np.integer]
    captions: list[str]


def encode_trimmed(tokenizer: Tokenizer, texts: Sequence[str], rng: np.random.Generator, whole: float = 0.04) -> Tensor:
    """ids [B,L]: as short as the batch allows, to save time, or with the chance `whole` the full length as in use."""
    ids = tokenizer.encode(texts)
    longest = int((ids == tokenizer.eos).int().argmax(1).max())
    return ids if rng.random() < whole else ids[:, : min(longest + 2, tokenizer.length)]


@dataclass(frozen=True)
class AttributeLabels:
    """What a caption says of style, background and skin tone: their numbers, -1 where it says nothing."""

    styles: list[str]
    tones: list[str]

    @property
    def sizes(self) -> tuple[int, int, int]:
        """How many styles, backgrounds and tones there are to choose from."""
        return len(self.styles), len(BACKGROUNDS), len(self.tones)

    def __call__(self, text: str) -> tuple[int, int, int]:
        """A caption → numbers of its style, background and tone."""
        parts, background = text.split(", "), NAMED_BACKGROUND.search(text)
        return (
            next((i for i, style in enumerate(self.styles) if style in parts), -1),
            list(BACKGROUNDS).index(background[1]) if background else -1,
            next((i for i, tone in enumerate(self.tones) if tone in parts), -1),
        )


def attribute_labels(corpus: Corpus) -> AttributeLabels:
    """The styles and skin tones that the corpus knows."""
    styles = sorted({entry.style for entry in corpus.entries})
    return AttributeLabels(styles, sorted({tone_words(entry.tone) for entry in corpus.entries if entry.tone}))


def word_batch(words: Words, corpus: Corpus, rng: np.random.Generator, n: int) -> tuple[list[str], Tensor]:
    """n texts and their targets [n,384]. Some batches, half as large, are captions (style, background, tone) with the
    bare word's target: a word must mean the same in a caption.
    """
    captioned = rng.random() < CAPTIONED
    rows = words.draw(rng, n // 2 if captioned else n)
    texts = [plural(words.texts[r]) if rng.random() < PLURAL else words.texts[r] for r in rows]
    if captioned:
        texts = [caption_as(corpus, text, rng) for text in texts]
    return texts, torch.from_numpy(words.vectors[rows])


def caption_as(corpus: Corpus, text: str, rng: np.random.Generator) -> str:
    """The caption that a drawing would have if it were called `text`."""
    entry = corpus.entries[int(corpus.train[rng.integers(len(corpus.train))])]
    return caption(replace(entry, name=text, concept=text, tags=()), rng, background(rng))


def fill(frame: str, name: str, many: bool = False) -> str:
    """The caption "a {}, noto style" with a name for {}: with the article that the name takes, in the plural none."""
    return frame.replace("a {}", name if many else with_article(name)).replace("{}", name)


def background(rng: np.random.Generator) -> str | None:
    """A named colour half of the time; None is white, which captions do not name."""
    return str(rng.choice(list(BACKGROUNDS))) if rng.random() < 0.5 else None


def pair_batch(
    corpus: Corpus,
    tokenizer: Tokenizer,
    rng: np.random.Generator,
    n: int,
    side: int,
    rows_by_concept: Mapping[str, Any],
) -> Pairs:
    """n drawings on coloured grounds with captions. Half of the batches hold every concept four times, in other styles
    and on other grounds: only style, tone and background words then tell the captions apart.
    """
    rows = corpus.sample(rng, n)
    if rng.random() < 0.5:
        rows = np.concatenate([rng.choice(rows_by_concept[corpus.entries[int(r)].concept], 4) for r in rows[: n // 4]])
    grounds = [background(rng) for _ in rows]
    captions = [caption(corpus.entries[int(r)], rng, g) for r, g in zip(rows, grounds, strict=True)]
    colours = np.array([BACKGROUNDS[g] if g else (255, 255, 255) for g in grounds], np.uint8)
    drawings = np.stack([corpus.drawing(int(r)) for r in rows])
    images = F.interpolate(to_tensor(composite(drawings, colours)), size=(side, side), mode="area")
    return Pairs(encode_trimmed(tokenizer, captions, rng), images, rows, captions)


def positive_pairs(labels: Sequence[str]) -> Tensor:
    """float [B,B], 1 where two labels are equal."""
    codes = torch.from_numpy(np.unique(labels, return_inverse=True)[1])
    return (codes[:, None] == codes[None]).float()
