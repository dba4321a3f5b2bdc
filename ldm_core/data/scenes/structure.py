"""What a scene says, as values: things with colour and number, a relation, a background; what training never sees."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

from ldm_core.data.scenes.things import drawn_colours, thing_of

SceneKind = Literal["original", "moved", "colour", "two", "position", "attribution", "count"]
Relation = Literal["", "left", "right", "above", "below"]  # of the first thing, seen from the second
HeldOutKind = Literal["colour", "pair", "number"]

WHOLE_DRAWINGS: tuple[SceneKind, ...] = ("original", "moved")  # the corpus's own drawings, not composed
RELATIONS: tuple[Relation, ...] = ("left", "right", "above", "below")
OPPOSITE: dict[Relation, Relation] = {"": "", "left": "right", "right": "left", "above": "below", "below": "above"}
# Shares of the combinations that are kept from training; there are few (number, thing) ones, so more of them.
HELD_OUT_SHARE: dict[HeldOutKind, float] = {"colour": 0.1, "pair": 0.1, "number": 0.2}


@dataclass(frozen=True)
class Box:
    """Where a drawing's ink goes, in pixels of the picture: [left, right) × [top, bottom)."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def centre(self) -> tuple[float, float]:
        """(x, y)."""
        return (self.left + self.right) / 2, (self.top + self.bottom) / 2


@dataclass(frozen=True)
class Thing:
    """A thing of a scene, drawn once in each of its boxes.

    `name` is a row of things.tsv. `colour` is the colour that the caption says, "" where it says none; `recoloured`
    tells whether the drawing had to be painted for it.
    """

    name: str
    row: int  # of the corpus
    boxes: tuple[Box, ...]
    colour: str = ""
    recoloured: bool = False

    @property
    def number(self) -> int:
        """How many of it there are."""
        return len(self.boxes)


@dataclass(frozen=True)
class Scene:
    """One or two things on a background. `background` is a key of BACKGROUNDS; all drawings are of one style."""

    kind: SceneKind
    things: tuple[Thing, ...]
    style: str
    background: str = "white"
    relation: Relation = ""


def held_out(kind: HeldOutKind, *terms: str | int) -> bool:
    """Whether a combination is kept from training, in every kind of scene: a pure function of its words.

    ("colour", colour, thing), ("pair", thing, thing) in any order, ("number", 2…4, thing). Things may go by any of
    their words ("burger"). A colour that a drawing of the corpus has in its own name ("red apple") is never held out.
    Raises KeyError where a thing is unknown.
    """
    if kind == "pair":
        first, second = sorted(thing_of(str(t)).name for t in terms)
        key = f"{first}|{second}"
        if first == second:
            return False
    else:
        value, word = terms
        thing = thing_of(str(word))
        key = f"{value}|{thing.name}"
        if kind == "colour" and value in drawn_colours(thing):
            return False
    chance = int.from_bytes(hashlib.sha256(f"{kind}|{key}".encode()).digest()[:8], "big") / 2**64
    return chance < HELD_OUT_SHARE[kind]


def combinations_of(scene: Scene) -> Iterator[tuple[HeldOutKind, str | int, str]]:
    """Every combination that a scene shows and that could be held out, as arguments of `held_out`.

    WHOLE_DRAWINGS show none.
    """
    if scene.kind in WHOLE_DRAWINGS:
        return
    for thing in scene.things:
        if thing.colour:
            yield "colour", thing.colour, thing.name
        if thing.number > 1:
            yield "number", thing.number, thing.name
    for one, other in combinations(scene.things, 2):
        yield "pair", one.name, other.name


def is_trained(scene: Scene) -> bool:
    """Whether training may see a scene: it shows no held-out combination."""
    return not any(held_out(*terms) for terms in combinations_of(scene))
