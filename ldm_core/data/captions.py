"""Captions of drawings: the words a prompt is made of."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import numpy as np

from ldm_core.data.colours import BACKGROUNDS
from ldm_core.data.corpus import Entry
from ldm_core.data.english import with_article

SYNONYMS = Path(__file__).with_name("synonyms.tsv")
SYNONYM = 0.2  # share of the captions that say a synonym, where the concept has any
WHITE_MENTIONED = 0.15  # share of the captions of drawings on white that say so; every other background is named
NAMED_BACKGROUND = re.compile(rf"\b({'|'.join(BACKGROUNDS)}) background\b")
NONE: Mapping[str, Sequence[str]] = MappingProxyType({})


def read_synonyms(path: Path = SYNONYMS) -> dict[str, list[str]]:
    """Concept → words for it that no name or tag holds, from rows (concept, word|word|…)."""
    rows = (line.split("\t") for line in path.read_text(encoding="utf-8").splitlines())
    return {concept: words.split("|") for concept, words in rows}


def tone_words(tone: str) -> str:
    """'medium-dark' → 'medium-dark skin tone'; 'light+dark' → 'light and dark skin tones'; '' → ''."""
    parts = tone.split("+")
    return "" if not tone else f"{' and '.join(parts)} skin tone{'s' if len(parts) > 1 else ''}"


def canonical_caption(entry: Entry, background: str | None = None) -> str:
    """The one caption used for evaluation: 'red apple, noto style', with tone and background where there are any.

    It uses the concept, the words that all styles share, so that a held-out pair is made of words seen in training.
    """
    ending = f"on {with_article(background)} background" if background and background != "white" else ""
    return ", ".join(part for part in (entry.concept, tone_words(entry.tone), entry.style, ending) if part)


def caption(
    entry: Entry, rng: np.random.Generator, background: str | None, synonyms: Mapping[str, Sequence[str]] = NONE
) -> str:
    """A training caption, drawn: name or label or tags, mostly with its style; tone and background when there are any.

    `background` is a key of BACKGROUNDS, or None for a colour without a name, which is then not mentioned; `synonyms`
    are further words for a concept.
    """
    what = _subject(entry, rng, synonyms.get(entry.concept, ()))
    parts = [what]
    if entry.tone and rng.random() < 0.9:
        parts.append(tone_words(entry.tone))
    if rng.random() < 0.8:
        parts.append(entry.style)
    if not background or (background == "white" and rng.random() > WHITE_MENTIONED):
        return ", ".join(parts)
    kind = rng.random()
    if kind < 0.3:
        parts[0] = f"{what} on {with_article(background)} background"
    else:
        parts.append(f"on {with_article(background)} background" if kind < 0.7 else f"{background} background")
    return ", ".join(parts)


def _subject(entry: Entry, rng: np.random.Generator, synonyms: Sequence[str]) -> str:
    if synonyms and rng.random() < SYNONYM:
        word = str(rng.choice(synonyms))
        return with_article(word) if rng.random() < 0.4 else word
    kind = rng.random()
    name = entry.concept if rng.random() < 0.5 else entry.name
    if name.startswith("flag of ") and rng.random() < 0.3:
        name = f"{name.removeprefix('flag of ')} flag"
    if kind < 0.15 and entry.tags:
        count = min(len(entry.tags), int(rng.integers(1, 4)))
        tags = rng.choice(len(entry.tags), size=count, replace=False)
        return ", ".join(dict.fromkeys([name, *(entry.tags[i] for i in tags)]))
    if kind < 0.25 and len(entry.tags) >= 2:
        tags = rng.choice(len(entry.tags), size=2, replace=False)
        return ", ".join(entry.tags[i] for i in tags)
    return with_article(name) if kind < 0.6 else name
