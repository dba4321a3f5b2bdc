"""A scene → its picture, and a map of which pixel belongs to which thing."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from PIL import Image

from ldm_core.data.colours import BACKGROUNDS
from ldm_core.data.corpus import SIZE, Corpus
from ldm_core.data.scenes.recolour import contrast, read_colour, recolour
from ldm_core.data.scenes.structure import Box, Scene
from ldm_core.images import Pixels

SEEN = 8  # alpha from which a pixel counts as part of the drawing
SQUARE = 0.88  # a drawing that covers more of its picture brings a background of its own


class Drawings:
    """The corpus's drawings cut to their ink, natural or painted, with what is known of their colours."""

    def __init__(self, corpus: Corpus) -> None:
        self.corpus = corpus
        self.cut = lru_cache(maxsize=4096)(self._cut)
        self.colour = lru_cache(maxsize=None)(self._colour)
        self.contrast = lru_cache(maxsize=None)(self._contrast)
        self.is_square = lru_cache(maxsize=None)(self._is_square)

    def _cut(self, row: int, colour: str = "") -> Pixels:
        """uint8 RGBA [h,w,4], cut to what can be seen; painted in `colour` where one is given."""
        rgba = self.corpus.drawing(row)
        box = self.box(row)
        cut = rgba[box.top : box.bottom, box.left : box.right]
        return recolour(cut, colour) if colour else cut

    def box(self, row: int) -> Box:
        """Where the ink is in the drawing as it is."""
        ys, xs = np.nonzero(self.corpus.drawing(row)[..., 3] >= SEEN)
        return Box(int(xs.min()), int(ys.min()), int(xs.max()) + 1, int(ys.max()) + 1)

    def _is_square(self, row: int) -> bool:
        """Whether the drawing covers nearly all of its picture."""
        return float((self.corpus.drawing(row)[..., 3] >= SEEN).mean()) > SQUARE

    def _colour(self, row: int, colour: str = "") -> str:
        """Which named colour it is read as, "" for none; a quarter of the pixels tell."""
        return read_colour(self.cut(row, colour)[::2, ::2])

    def _contrast(self, row: int, colour: str, background: str) -> float:
        """Median ΔE from a background."""
        return contrast(self.cut(row, colour)[::2, ::2], background)


def draw(scene: Scene, drawings: Drawings) -> tuple[Pixels, Pixels]:
    """→ picture uint8 [128,128,3] and owner uint8 [128,128]: 0 the background, i + 1 the i-th thing."""
    canvas = Image.new("RGB", (SIZE, SIZE), BACKGROUNDS[scene.background])
    owner = np.zeros((SIZE, SIZE), np.uint8)
    for index, thing in enumerate(scene.things):
        rgba = drawings.cut(thing.row, thing.colour if thing.recoloured else "")
        for box in thing.boxes:
            size = (box.right - box.left, box.bottom - box.top)
            # transparent pixels have colours of their own: only premultiplied ones may be averaged
            cut = Image.fromarray(rgba).convert("RGBa").resize(size, Image.Resampling.LANCZOS).convert("RGBA")
            canvas.paste(cut, (box.left, box.top), cut)
            solid = np.asarray(cut)[..., 3] > 127
            owner[box.top : box.bottom, box.left : box.right][solid] = index + 1
    return np.asarray(canvas), owner
