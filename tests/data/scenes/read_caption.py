"""The inverse of `caption`, by words alone: an oracle for what captions say."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ldm_core.data.colours import BACKGROUNDS, THING_COLOURS
from ldm_core.data.scenes.captions import NUMBERS, RELATION_PHRASES
from ldm_core.data.scenes.structure import Relation
from ldm_core.data.scenes.things import nouns


@dataclass(frozen=True)
class Said:
    """What a caption says of one thing."""

    name: str
    number: int
    colour: str


@dataclass(frozen=True)
class CaptionReading:
    """A caption read back: things in the text's order, the first one's relation to the second, style, background."""

    things: tuple[Said, ...]
    relation: Relation
    style: str
    background: str


_BY_LENGTH = sorted(nouns(), key=len, reverse=True)
_COUNTS = {**{w: n for n, w in NUMBERS.items()}, **{str(n): n for n in NUMBERS}}
_BACKGROUND = re.compile(rf"(?:on an? )?({'|'.join(BACKGROUNDS)}) background$")
_THING = re.compile(
    rf"\b(?:(?P<number>{'|'.join(_COUNTS)}) )?(?:an? )?(?:(?P<colour>{'|'.join(THING_COLOURS)}) )?"
    rf"(?P<noun>{'|'.join(map(re.escape, _BY_LENGTH))})\b"
)


def read_caption(text: str) -> CaptionReading:
    """A caption of `caption` → what it says; words that it does not use are passed over."""
    head, *rest = text.split(", ")
    found = list(_THING.finditer(head))
    said = tuple(Said(nouns()[m["noun"]][0].name, _COUNTS.get(m["number"], 1), m["colour"] or "") for m in found)
    relation: Relation = ""
    if len(found) > 1:
        between = head[found[0].end() : found[1].start()].strip()
        relation = next((r for r, ways in RELATION_PHRASES.items() if between in ways), "")
    backgrounds = [m[1] for part in rest if (m := _BACKGROUND.match(part))]
    style = next((part for part in rest if part.endswith(" style")), "")
    return CaptionReading(said, relation, style, backgrounds[0] if backgrounds else "white")
