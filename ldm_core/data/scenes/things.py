"""The things that scenes are put together from: things.tsv, and the words they go by."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType

from ldm_core.data.colours import THING_COLOURS
from ldm_core.data.english import is_plural, plural

TABLE = Path(__file__).with_name("things.tsv")


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
        return is_plural(self.name)


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
    return nouns()[word][0] if word in nouns() else things_by_concept()[word]


@cache
def things_by_concept() -> Mapping[str, ComposableThing]:
    """Concept of the corpus → the thing that it shows."""
    return MappingProxyType({concept: thing for thing in things().values() for concept in thing.concepts})


def drawn_colours(thing: ComposableThing) -> frozenset[str]:
    """Colours that the corpus's own names give the thing: red and green for the apple."""
    return frozenset(c for c in THING_COLOURS for concept in thing.concepts if concept.startswith(f"{c} "))
