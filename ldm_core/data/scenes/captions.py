"""Captions of scenes, drawn anew from their structure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ldm_core.data.english import article, plural, with_article
from ldm_core.data.scenes.structure import OPPOSITE, Relation, Scene, Thing
from ldm_core.data.scenes.things import things

NUMBERS = {2: "two", 3: "three", 4: "four"}
RELATION_PHRASES: dict[Relation, tuple[str, ...]] = {
    "left": ("left of", "to the left of", "on the left of"),
    "right": ("right of", "to the right of", "on the right of"),
    "above": ("above", "over"),
    "below": ("below", "under"),
}
JOINS = ("and", "and", "with", "next to")
OPENINGS = ("", "", "", "", "", "a picture of", "an image of", "a drawing of")
STYLE_SAID = 0.5  # share of the captions
OTHER_WORD = 0.3  # share of the things that go by another of their words, where they have any


@dataclass(frozen=True)
class Caption:
    """A text, and where each of the scene's things is named in it: [start, end) of its noun, in characters."""

    text: str
    spans: tuple[tuple[int, int], ...]


def caption(scene: Scene, rng: np.random.Generator) -> Caption:
    """One of the ways to say a scene of composable things; spans are in the order of `scene.things`."""
    order = list(range(len(scene.things)))
    relation = scene.relation
    if len(order) == 2 and rng.random() < 0.5:
        order, relation = order[::-1], OPPOSITE[relation]
    opening = str(rng.choice(OPENINGS))
    bare = not opening and scene.kind == "colour" and rng.random() < 0.4  # "blue car"
    text = f"{opening} " if opening else ""
    spans: dict[int, tuple[int, int]] = {}
    for index in order:
        if spans:
            text += f" {_join(relation, rng)} "
        phrase, at = _phrase(scene.things[index], rng, bare)
        noun = len(text) + at, len(text) + len(phrase)
        text, spans[index] = text + phrase, noun
    return Caption(text + _ending(scene, rng), tuple(spans[i] for i in range(len(order))))


def _join(relation: Relation, rng: np.random.Generator) -> str:
    return str(rng.choice(RELATION_PHRASES[relation] if relation else JOINS))


def _phrase(thing: Thing, rng: np.random.Generator, bare: bool) -> tuple[str, int]:
    """'two red apples' and where its noun begins."""
    about = things()[thing.name]
    words = about.words
    word = words[0] if len(words) == 1 or rng.random() > OTHER_WORD else str(rng.choice(words[1:]))
    noun = plural(word) if thing.number > 1 else word
    described = f"{thing.colour} {noun}" if thing.colour else noun
    if thing.number > 1:
        number = NUMBERS[thing.number] if rng.random() < 0.8 else str(thing.number)
        described = f"{number} {described}"
    elif not about.plural_only and not bare and rng.random() < 0.85:
        described = f"{article(described)} {described}"
    return described, len(described) - len(noun)


def _ending(scene: Scene, rng: np.random.Generator) -> str:
    parts = []
    if rng.random() < STYLE_SAID:
        parts.append(scene.style)
    if scene.background != "white":
        said = f"on {with_article(scene.background)} background"
        parts.append(said if rng.random() < 0.7 else f"{scene.background} background")
    elif rng.random() < 0.1:
        parts.append("white background")
    return "".join(f", {part}" for part in parts)
