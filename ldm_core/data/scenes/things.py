"""The things that scenes are put together from: things.tsv, and the words they go by."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType

from ldm_core.data.colours import THING_COLOURS

TABLE = Path(__file__).with_name("things.tsv")
_PLURALS = {
    "mouse": "mice",
    "sheep": "sheep",
    "fish": "fish",
    "wolf": "wolves",
    "snowman": "snowmen",
    "leaf": "leaves",
    "deer": "deer",
    "squid": "squid",
    "shrimp": "shrimp",
    "knife": "knives",
    "ox": "oxen",
    "tomato": "tomatoes",
    "potato": "potatoes",
    "volcano": "volcanoes",
}
_ALWAYS_PLURAL = {
    "cherries",
    "scissors",
    "sunglasses",
    "glasses",
    "grapes",
    "jeans",
    "trousers",
    "pancakes",
    "french fries",
    "fries",
}
_VOWELS = ("a", "e", "i", "o", "u")


@dataclass(frozen=True)
class ComposableThing:
    """A compact thing that at least five of the seven sets draw."""

    name: str
    concepts: tuple[str, ...]  # the corpus's concepts that show it
    words: tuple[str, ...]  # what captions call it, `name` first
    counted: bool  # False: "three grapes" would be another picture
    common: bool  # asked for often, and so composed COMMON times as often

    @property
    def plural_only(self) -> bool:
        """'scissors': no article, no singular."""
        return self.name in _ALWAYS_PLURAL


@cache
def things() -> Mapping[str, ComposableThing]:
    """Name → thing, in the table's order."""
    with TABLE.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    found = {}
    for row in rows:
        words = (row["thing"], *(w for w in row["other words"].split("|") if w))
        concepts = tuple(row["concepts"].split("|"))
        found[row["thing"]] = ComposableThing(
            row["thing"], concepts, words, row["counted"] == "yes", row["common"] == "yes"
        )
    return MappingProxyType(found)


@cache
def nouns() -> Mapping[str, tuple[ComposableThing, bool]]:
    """Every word and plural of every thing → (thing, whether the word is a plural)."""
    found: dict[str, tuple[ComposableThing, bool]] = {}
    for thing in things().values():
        for word in thing.words:
            found.setdefault(plural(word), (thing, True))
            found[word] = (thing, thing.plural_only)
    return MappingProxyType(found)


def thing_of(word: str) -> ComposableThing:
    """The thing that a word, a plural or a concept of the corpus means; KeyError where it is none."""
    return nouns()[word][0] if word in nouns() else _by_concept()[word]


@cache
def _by_concept() -> Mapping[str, ComposableThing]:
    return MappingProxyType({concept: thing for thing in things().values() for concept in thing.concepts})


def drawn_colours(thing: ComposableThing) -> frozenset[str]:
    """Colours that the corpus's own names give the thing: red and green for the apple."""
    return frozenset(c for c in THING_COLOURS for concept in thing.concepts if concept.startswith(f"{c} "))


def plural(word: str) -> str:
    """'box' → 'boxes', 'cherries' stays; irregular ones of things.tsv are known."""
    if word in _ALWAYS_PLURAL:
        return word
    first, space, last = word.rpartition(" ")
    if last in _PLURALS:
        return f"{first}{space}{_PLURALS[last]}"
    first, of, rest = word.partition(" of ")
    if of:  # cups of coffee, glasses of milk
        return f"{plural(first)} of {rest}"
    if word.endswith(("s", "x", "ch", "sh")):
        return f"{word}es"
    if word.endswith("y") and not word.endswith(tuple(v + "y" for v in _VOWELS)):
        return f"{word[:-1]}ies"
    return f"{word}s"


def article(phrase: str) -> str:
    """'a' or 'an', by sound: 'a unicorn', 'an hourglass'."""
    like_a_consonant = phrase.startswith(("uni", "eu", "one"))
    return "an" if phrase.startswith("hour") or (phrase.startswith(_VOWELS) and not like_a_consonant) else "a"
