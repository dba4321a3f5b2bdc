"""Captions of scenes with a label (thing, colour, number, role) for each noun."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np

from ldm_core.data.captions import NAMED_BACKGROUND
from ldm_core.data.colours import BACKGROUNDS, THING_COLOURS
from ldm_core.data.corpus import Corpus
from ldm_core.data.english import plural
from ldm_core.data.scenes.captions import RELATION_PHRASES, Caption, caption
from ldm_core.data.scenes.structure import OPPOSITE, RELATIONS, Box, Scene, SceneKind, Thing, is_trained
from ldm_core.data.scenes.things import things

UNNAMED = "unnamed"  # the colour of a noun without one
COLOURS = (UNNAMED, *BACKGROUNDS)
NUMBERS = ("one", "two", "three", "four")
ROLES = ("first", "second", "left", "right", "above", "below", "ground")  # attention is causal: an only noun is first
MIX: Mapping[SceneKind, float] = {"colour": 0.15, "count": 0.15, "two": 0.15, "position": 0.25, "attribution": 0.3}
GROUNDED = 0.25  # share of the captions that name a ground
COLOURED = 0.25  # share of the counts and positions that name colours
COUNTED = 0.2  # share of the captions with two things in which one comes in a number
OTHER = 0.4  # share of the nouns that are replaced by a word that no scene is drawn of
NONE: Mapping[int, str] = MappingProxyType({})
_LONG = re.compile(r"[^a-z\- ]|(?:\S+ ){3}")  # more than three words, digits, commas


@dataclass(frozen=True)
class Slot:
    """One thing of a caption with its attributes; the last word that names it ends at character `end`."""

    end: int
    thing: str  # a concept of the corpus, or another word, in the singular
    colour: str = UNNAMED
    number: str = "one"
    role: str = "first"


@dataclass(frozen=True)
class SlotCaption:
    """A caption and its slots, in the order of the text."""

    text: str
    slots: tuple[Slot, ...]

    @property
    def composed(self) -> bool:
        """Whether it names more than one thing."""
        return any(slot.role not in ("first", "ground") for slot in self.slots)


def draw_scene(rng: np.random.Generator, styles: Sequence[str], trained: bool = True) -> Scene:
    """What a scene says, without drawings or places; with `trained` False one with a held-out combination."""
    while True:
        kind = list(MIX)[int(rng.choice(len(MIX), p=list(MIX.values())))]
        several = kind not in ("colour", "count")
        coloured = kind in ("colour", "attribution") or (kind != "two" and rng.random() < COLOURED)
        counted = kind == "count" or (kind == "two" and rng.random() < COUNTED)
        names = [str(n) for n in rng.choice(list(things()), 2 if several else 1, replace=False)]
        named = [_thing(rng, name, coloured, counted and i == 0) for i, name in enumerate(names)]
        relation = RELATIONS[int(rng.integers(len(RELATIONS)))] if kind == "position" else ""
        ground = str(rng.choice(list(BACKGROUNDS))) if rng.random() < GROUNDED else "white"
        scene = Scene(kind, tuple(named), str(rng.choice(list(styles))), ground, relation)
        if is_trained(scene) == trained:
            return scene


def _thing(rng: np.random.Generator, name: str, coloured: bool, counted: bool) -> Thing:
    number = int(rng.integers(2, 5)) if counted and things()[name].counted else 1
    return Thing(name, 0, (Box(0, 0, 1, 1),) * number, str(rng.choice(list(THING_COLOURS))) if coloured else "")


def slots_of(scene: Scene, said: Caption, words: Mapping[int, str] = NONE) -> SlotCaption:
    """A scene's caption with a slot at the end of each noun; `words` are those that it was reworded with.

    The first noun is read before its place is named, so the last word of a relation has a slot too: it says again what
    the first noun says, and where that is. A ground's last word says the ground's colour.
    """
    order = sorted(range(len(said.spans)), key=lambda i: said.spans[i])
    relation = scene.relation if order[0] == 0 else OPPOSITE[scene.relation]
    slots = []
    for i, index in enumerate(order):
        thing, (_, end) = scene.things[index], said.spans[index]
        meant = words.get(index, things()[thing.name].concepts[0])
        slot = Slot(end, meant, thing.colour or UNNAMED, NUMBERS[thing.number - 1])
        slots.append(replace(slot, role=("first", OPPOSITE[relation] or "second")[i]))
        if relation and i == 0:
            between = said.text[end : said.spans[order[1]][0]]
            ways = [way for way in RELATION_PHRASES[relation] if between.startswith(f" {way} ")]
            slots.append(replace(slot, end=end + 1 + max(map(len, ways)), role=relation))
    background = NAMED_BACKGROUND.search(said.text)
    if background:
        slots.append(Slot(background.end(), "background", background[1], role="ground"))
    return SlotCaption(said.text, tuple(slots))


def reworded(scene: Scene, said: Caption, words: Mapping[int, str]) -> Caption:
    """The same caption with other words for some of the scene's things, by their index."""
    text, spans = said.text, list(said.spans)
    for index, word in words.items():
        start, end = spans[index]
        noun = plural(word) if scene.things[index].number > 1 else word
        text, grown = text[:start] + noun + text[end:], len(noun) - (end - start)
        spans = [(a + grown, b + grown) if a > start else (a, b) for a, b in spans]
        spans[index] = start, start + len(noun)
    return Caption(text, tuple(spans))


def draw_caption(rng: np.random.Generator, styles: Sequence[str], others: Sequence[str]) -> SlotCaption:
    """A training caption; some of its nouns are `others`, so that any word binds as those of the scenes do."""
    scene = draw_scene(rng, styles)
    said = caption(scene, rng)
    reworded_things = [i for i in range(len(scene.things)) if others and rng.random() < OTHER]
    words = {i: str(rng.choice(others)) for i in reworded_things}
    return slots_of(scene, reworded(scene, said, words), words)


def swapped(scene: Scene) -> Scene:
    """A scene of two things with each other's colours and numbers; where those are alike they change places."""
    a, b = scene.things
    if (a.colour, a.number) == (b.colour, b.number):
        return replace(scene, things=(b, a))
    return replace(
        scene, things=(replace(a, colour=b.colour, boxes=b.boxes), replace(b, colour=a.colour, boxes=a.boxes))
    )


def other_words(corpus: Corpus, synonyms: Mapping[str, Sequence[str]], vocabulary: Sequence[str]) -> list[str]:
    """What else may stand as a noun: all short names of concepts, their synonyms, whole words of a vocabulary."""
    names = {corpus.entries[int(r)].concept for r in corpus.train}
    words = {w.removesuffix("</w>") for w in vocabulary if w.endswith("</w>")}
    found = names | {w for several in synonyms.values() for w in several} | {w for w in words if len(w) > 2}
    return sorted(w for w in found if not _LONG.search(w))
