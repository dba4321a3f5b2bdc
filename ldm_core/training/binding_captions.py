"""Captions composed from templates, with what each noun must be known to say: thing, colour, number, role."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ldm_core.data.captions import BACKGROUNDS, with_article
from ldm_core.data.corpus import Corpus
from ldm_core.training.text_batches import plural

UNNAMED = "unnamed"  # the colour of a noun without one
COLOURS = (UNNAMED, *BACKGROUNDS)
NUMBERS = ("one", "two", "three", "four")
ROLES = ("single", "first", "second", "left", "right", "above", "below", "ground")
OPPOSITE = {"left": "right", "right": "left", "above": "below", "below": "above"}
RELATIONS = {
    "left": ("left of", "to the left of", "on the left of"),
    "right": ("right of", "to the right of", "on the right of"),
    "above": ("above", "over"),
    "below": ("below", "under"),
}
JOINTS = (" and ", ", ", " with ", " next to ", " beside ")
OPENINGS = ("", "", "", "", "a picture of ", "a drawing of ")
STYLED, GROUNDED = 0.5, 0.25  # shares of the captions that name a style, a ground
DIGITS = 0.2  # share of the numbers that are written so
HELD_OUT = 16  # one combination in so many is kept from training
COMPOSABLE_STYLES = 5  # a concept drawn in so many styles is common enough to be composed
_LONG = re.compile(r"[^a-z\- ]|(?:\S+ ){3}")  # more than three words, digits, commas
_OTHER = re.compile(r"\b(?:flag|button|face|keycap|letter|zodiac|sign|skin|hair|o'clock)\b")


@dataclass(frozen=True)
class Slot:
    """One thing of a caption, and where the text has said it all: the word that ends at character `end`."""

    end: int
    thing: str  # in the singular
    colour: str = UNNAMED
    number: str = "one"
    role: str = "single"


@dataclass(frozen=True)
class SlotCaption:
    """A caption and its slots; two things have slots for two."""

    text: str
    slots: tuple[Slot, ...]

    @property
    def composed(self) -> bool:
        """Whether it names more than one thing."""
        return self.slots[0].role != "single"


@dataclass(frozen=True)
class Noun:
    """A thing as it is said: in a colour, in a number."""

    name: str  # the word in the caption, singular
    colour: str = UNNAMED
    number: str = "one"

    def said(self, bare: bool, digits: bool = False) -> str:
        """'a red car', 'three cats', with digits '3 cats'; without article if bare."""
        coloured = self.name if self.colour == UNNAMED else f"{self.colour} {self.name}"
        if self.number != "one":
            number = str(NUMBERS.index(self.number) + 1) if digits else self.number
            return f"{number} {plural(coloured)}"
        return coloured if bare else with_article(coloured)


def composable(corpus: Corpus) -> list[str]:
    """Concepts of short plain names that most styles draw and no skin tone changes."""
    styles: dict[str, set[str]] = {}
    toned = {e.concept for e in corpus.entries if e.tone}
    for row in corpus.train:
        entry = corpus.entries[int(row)]
        styles.setdefault(entry.concept, set()).add(entry.style)
    found = sorted(c for c, s in styles.items() if len(s) >= COMPOSABLE_STYLES)
    return [c for c in found if c not in toned and not _LONG.search(c) and not _OTHER.search(c)]


def held_out(*terms: str) -> bool:
    """Whether a combination, such as a colour and a thing or two things in any order, is kept from training."""
    return hashlib.sha256("|".join(sorted(terms)).encode()).digest()[0] % HELD_OUT == 0


def is_held_out(nouns: Sequence[Noun]) -> bool:
    """Whether any combination in a caption is."""
    pairs = [terms for n in nouns for terms in ((n.colour, n.name), (n.number, n.name))]
    said = [(a, b) for a, b in pairs if a not in (UNNAMED, "one")]
    return any(held_out(*terms) for terms in said) or (len(nouns) > 1 and held_out(*(n.name for n in nouns)))


class Composer:
    """Draws captions. `things` are named most; `others` (further words) as nouns now and then."""

    def __init__(self, things: Sequence[str], others: Sequence[str], styles: Sequence[str]) -> None:
        self.things, self.others, self.styles = list(things), list(others), list(styles)

    def draw(self, rng: np.random.Generator, held: bool = False) -> SlotCaption:
        """A training caption; with `held` one that has a held-out combination and names `things` only."""
        while True:
            nouns, relation = self._scene(rng, 0.0 if held else 0.4)
            if is_held_out(nouns) == held and len({n.name for n in nouns}) == len(nouns):
                return self.caption(nouns, relation, rng)

    def caption(self, nouns: Sequence[Noun], relation: str | None, rng: np.random.Generator) -> SlotCaption:
        """Nouns, and where the first is of the second, in words."""
        bare = rng.random() < 0.3
        said = [noun.said(bare, rng.random() < DIGITS) for noun in nouns]
        text = str(rng.choice(OPENINGS)) if not bare else ""
        slots: list[Slot] = []
        for i, (noun, phrase) in enumerate(zip(nouns, said, strict=True)):
            if i == 1:
                text += self._joint(text, relation, nouns[0], slots, rng)
            text += phrase
            role = "single" if len(nouns) == 1 else ("first", "second" if relation is None else OPPOSITE[relation])[i]
            slots.append(Slot(len(text), noun.name, noun.colour, noun.number, role))
        ending, ground = self._ending(rng)
        text += ending
        if ground:
            slots.append(Slot(len(text), "background", ground, "one", "ground"))
        return SlotCaption(text, tuple(slots))

    def _scene(self, rng: np.random.Generator, rare: float) -> tuple[list[Noun], str | None]:
        kind = rng.choice(5, p=(0.15, 0.15, 0.15, 0.25, 0.3))  # colour, number, two, position, attribution
        if kind == 0:
            return [self._noun(rng, rare, colour=True)], None
        if kind == 1:
            return [self._noun(rng, rare, number=True, colour=rng.random() < 0.25)], None
        coloured = kind == 4 or (kind == 3 and rng.random() < 0.25)
        counted = kind == 2 and rng.random() < 0.2
        nouns = [self._noun(rng, rare, coloured, counted and i == rng.integers(2)) for i in range(2)]
        if coloured and rng.random() < 0.15:
            nouns[rng.integers(2)] = self._noun(rng, rare)
        return nouns, str(rng.choice(list(RELATIONS))) if kind == 3 else None

    def _noun(self, rng: np.random.Generator, rare: float, colour: bool = False, number: bool = False) -> Noun:
        name = str(rng.choice(self.others if rng.random() < rare else self.things))
        return Noun(
            name,
            str(rng.choice(list(BACKGROUNDS))) if colour else UNNAMED,
            str(rng.choice(NUMBERS[1:])) if number else "one",
        )

    def _joint(self, text: str, relation: str | None, first: Noun, slots: list[Slot], rng: np.random.Generator) -> str:
        """What stands between two nouns. The first noun is read before its place is named, so the last word of the
        relation says both.
        """
        if relation is None:
            return str(rng.choice(JOINTS))
        words = f" {rng.choice(RELATIONS[relation])}"
        slots.append(Slot(len(text) + len(words), first.name, first.colour, first.number, relation))
        return f"{words} "

    def _ending(self, rng: np.random.Generator) -> tuple[str, str]:
        """Style and ground in words, and the ground's colour or ''."""
        style = f", {rng.choice(self.styles)}" if rng.random() < STYLED else ""
        if rng.random() >= GROUNDED:
            return style, ""
        colour = str(rng.choice(list(BACKGROUNDS)))
        ground = f"on {with_article(colour)} background" if rng.random() < 0.7 else f"{colour} background"
        return f"{style}, {ground}", colour


def swapped(nouns: Sequence[Noun]) -> list[Noun]:
    """Two nouns with each other's colours and numbers; uncoloured ones change places."""
    a, b = nouns
    if (a.colour, a.number) == (b.colour, b.number):
        return [b, a]
    return [replace(a, colour=b.colour, number=b.number), replace(b, colour=a.colour, number=a.number)]


def nouns_of(caption: SlotCaption) -> tuple[list[Noun], str | None]:
    """The inverse of `Composer.caption`, but for the wording."""
    relation = next((s.role for s in caption.slots if s.role in RELATIONS), None)
    slots = [s for i, s in enumerate(caption.slots) if not (relation and i == 1) and s.role != "ground"]
    return [Noun(s.thing, s.colour, s.number) for s in slots], relation


def other_words(corpus: Corpus, synonyms: Mapping[str, Sequence[str]], vocabulary: Sequence[str]) -> list[str]:
    """What else may stand as a noun: all short names of concepts, their synonyms, whole words of a vocabulary."""
    names = {corpus.entries[int(r)].concept for r in corpus.train}
    words = {w.removesuffix("</w>") for w in vocabulary if w.endswith("</w>")}
    found = names | {w for several in synonyms.values() for w in several} | {w for w in words if len(w) > 2}
    return sorted(w for w in found if not _LONG.search(w))
