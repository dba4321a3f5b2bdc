"""The training mix: which scene is drawn next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ldm_core.data.captions import caption as corpus_caption
from ldm_core.data.captions import read_synonyms
from ldm_core.data.colours import BACKGROUNDS, THING_COLOURS
from ldm_core.data.corpus import Corpus
from ldm_core.data.scenes.captions import Caption, caption
from ldm_core.data.scenes.draw import Drawings
from ldm_core.data.scenes.layout import place, place_one
from ldm_core.data.scenes.structure import RELATIONS, WHOLE_DRAWINGS, Box, Scene, SceneKind, Thing, is_trained
from ldm_core.data.scenes.things import things, things_by_concept

MIX: Mapping[SceneKind, float] = {
    "original": 0.33,
    "moved": 0.06,
    "colour": 0.15,
    "two": 0.14,
    "position": 0.10,
    "attribution": 0.13,
    "count": 0.09,
}
CONTRAST = 25.0  # ΔE between a thing and the background
WHITE_SHARE: Mapping[SceneKind, float] = {"original": 0.5, "moved": 0.6}  # of whole drawings, on a white background
WHITE_COMPOSED = 0.75  # of composed scenes more, since most prompts name no background
MOVED = (40, 56, 72, 88, 104)  # pixels of a moved drawing's longer side
TONE_POWER = 0.5  # drawings in several skin tones come more often: Corpus.sample
COLOURED_COUNT = 0.15  # share of the counts that name a colour too
COMMON = 8.0  # how much more often a common thing is composed than another: what is seen seldom stays a blob
STYLES: Mapping[str, float] = {"noto style": 3.0, "twemoji style": 3.0}  # how often a set is, the others being 1
TRIES = 2000
NOWHERE = Box(0, 0, 0, 0)


class SceneSampler:
    """Draws scenes and their captions; everything is a function of the generator handed over."""

    def __init__(
        self, corpus: Corpus, drawings: Drawings, mix: Mapping[SceneKind, float] = MIX, trained: bool = True
    ) -> None:
        """`trained` False: composed scenes that all show a held-out combination, for validation."""
        if not mix or min(mix.values()) < 0 or sum(mix.values()) <= 0:
            raise ValueError(f"the shares of a mix must not be negative nor all zero: {dict(mix)}")
        self.corpus, self.drawings, self.trained = corpus, drawings, trained
        self.kinds, shares = list(mix), np.array(list(mix.values()))
        self.shares = shares / shares.sum()
        self.synonyms = read_synonyms()
        self.rows = _rows_by_thing(corpus, drawings)

    def __call__(self, rng: np.random.Generator) -> Scene:
        """A scene of the mix that may be trained on (or must not be: see `trained`)."""
        kind = self.kinds[int(rng.choice(len(self.kinds), p=self.shares))]
        for _ in range(TRIES):
            scene = self._from_corpus(rng, kind) if kind in WHOLE_DRAWINGS else self._compose(rng, kind)
            if scene is not None:
                return scene
        raise RuntimeError(f"no scene of kind {kind!r} could be made from this corpus")

    def caption(self, scene: Scene, rng: np.random.Generator) -> Caption:
        """One way to say it; whole drawings have the corpus's captions, and no spans."""
        if scene.kind in WHOLE_DRAWINGS:
            entry = self.corpus.entries[scene.things[0].row]
            return Caption(corpus_caption(entry, rng, scene.background, self.synonyms), ())
        return caption(scene, rng)

    def _compose(self, rng: np.random.Generator, kind: SceneKind) -> Scene | None:
        """A composed scene, or None where what was drawn does not do; what is cheap to refuse is refused first."""
        scene = self._content(rng, kind)
        if is_trained(scene) != self.trained or not all(self._reads(p) for p in scene.things):
            return None
        shapes = [self.drawings.cut(p.row).shape[:2] for p in scene.things for _ in p.boxes]
        boxes = (place_one(rng, shapes[0]),) if len(shapes) == 1 else place(rng, shapes, scene.relation)
        background = self._background(rng, scene.things)
        if boxes is None or not background:
            return None
        shared = [boxes] if len(scene.things) == 1 else [(box,) for box in boxes]
        placed = tuple(replace(p, boxes=own) for p, own in zip(scene.things, shared, strict=True))
        return replace(scene, things=placed, background=background)

    def _content(self, rng: np.random.Generator, kind: SceneKind) -> Scene:
        """Which things in which colours and numbers, on no background and nowhere yet."""
        styles = list(self.rows)
        style = str(rng.choice(styles, p=_shares([STYLES.get(s, 1.0) for s in styles])))
        number = int(rng.integers(2, 5)) if kind == "count" else 1
        known = [n for n in self.rows[style] if number == 1 or things()[n].counted]
        weights = [COMMON if things()[n].common else 1.0 for n in known]
        size = 1 if kind in ("colour", "count") else 2
        chosen = rng.choice(len(known), size=size, replace=False, p=_shares(weights))
        names = [known[int(i)] for i in chosen]
        painted = kind in ("colour", "attribution") or (kind == "count" and rng.random() < COLOURED_COUNT)
        colours = rng.permutation(list(THING_COLOURS))[: len(names)].tolist() if painted else [""] * len(names)
        rows = [int(rng.choice(self.rows[style][name])) for name in names]
        parts = tuple(
            Thing(name, row, (NOWHERE,) * number, colour, bool(colour) and self.drawings.colour(row) != colour)
            for name, row, colour in zip(names, rows, colours, strict=True)
        )
        relation = RELATIONS[int(rng.integers(len(RELATIONS)))] if kind == "position" else ""
        return Scene(kind, parts, style, relation=relation)

    def _reads(self, thing: Thing) -> bool:
        """Whether its drawing is read as the colour that the caption says."""
        return not thing.recoloured or self.drawings.colour(thing.row, thing.colour) == thing.colour

    def _background(self, rng: np.random.Generator, parts: Sequence[Thing]) -> str:
        """White mostly, else any named colour; "" where a thing would not stand out from it."""
        background = "white" if rng.random() < WHITE_COMPOSED else str(rng.choice(list(BACKGROUNDS)))
        painted = [(p.row, p.colour if p.recoloured else "") for p in parts]
        clear = all(self.drawings.contrast(row, colour, background) >= CONTRAST for row, colour in painted)
        return background if clear else ""

    def _from_corpus(self, rng: np.random.Generator, kind: SceneKind) -> Scene:
        row = int(self.corpus.sample(rng, 1, TONE_POWER)[0])
        entry = self.corpus.entries[row]
        whole = kind == "original"
        box = self.drawings.box(row) if whole else place_one(rng, self.drawings.cut(row).shape[:2], MOVED)
        white, colours = rng.random() < WHITE_SHARE[kind], list(BACKGROUNDS)
        background = "white" if white else colours[int(rng.integers(1, len(colours)))]
        return Scene(kind, (Thing(entry.concept, row, (box,)),), entry.style, background)


def _shares(weights: Sequence[float]) -> NDArray[np.float64]:
    """Weights → what they are of their sum."""
    return np.array(weights) / sum(weights)


def _rows_by_thing(corpus: Corpus, drawings: Drawings) -> dict[str, dict[str, list[int]]]:
    """Style → thing → the training rows that draw it, without those that are a whole square, background and all."""
    by_concept = things_by_concept()
    rows: dict[str, dict[str, list[int]]] = {}
    for row in corpus.train:
        entry = corpus.entries[int(row)]
        if entry.concept in by_concept and not drawings.is_square(int(row)):
            rows.setdefault(entry.style, {}).setdefault(by_concept[entry.concept].name, []).append(int(row))
    return rows
