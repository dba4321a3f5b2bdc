"""Which of the composable things is cut out of a picture: a linear head on the judge's features.

It is fitted on the training drawings, at the sizes of scenes, blurred and recoloured, but in no held-out colour.
"""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image

from ldm_core.data.colours import BACKGROUNDS, THING_COLOURS
from ldm_core.data.scenes.draw import Drawings
from ldm_core.data.scenes.structure import held_out
from ldm_core.data.scenes.things import things, things_by_concept
from ldm_core.evaluation.components import Component, cut_out
from ldm_core.evaluation.judge import JudgeModel
from ldm_core.evaluation.probes import fit_linear
from ldm_core.images import Pixels

VIEWS = 4  # of each drawing, every other one recoloured
SIZES = (36, 110)  # pixels of a thing's longer side, as in scenes
BLURS = (20, 56)  # pixels that half of the views are reduced to and enlarged again
ON_WHITE = 0.75  # share of the views


class ThingReader:
    """Names cut-out things, among those of things.tsv."""

    def __init__(self, judge: JudgeModel, drawings: Drawings, seed: int = 0) -> None:
        """Draws and fits for about half a minute of a core."""
        self.judge, self.names = judge, list(things())
        crops, answers = views(drawings, judge.network.config.side, np.random.default_rng(seed))
        features = judge.features(crops)
        self.mean, self.std = features.mean(0), features.std(0) + 1e-6
        numbers = torch.tensor([self.names.index(name) for name in answers])
        self.head = fit_linear(
            (features - self.mean) / self.std,
            numbers,
            len(self.names),
            steps=1500,
            batch=512,
            lr=1e-2,
            weight_decay=1e-4,
            label_smoothing=0.1,
            seed=seed,
        )

    @torch.no_grad()
    def __call__(self, crops: Pixels) -> list[str]:
        """Crops uint8 [N,s,s,3] of `cut_out` → their names."""
        scores = self.head((self.judge.features(crops) - self.mean) / self.std)
        return [self.names[i] for i in scores.argmax(1).tolist()]


def views(drawings: Drawings, side: int, rng: np.random.Generator) -> tuple[Pixels, list[str]]:
    """VIEWS of every training drawing of a composable thing: crops uint8 [N,side,side,3], and the things' names."""
    corpus, crops, names = drawings.corpus, list[Pixels](), list[str]()
    of = things_by_concept()
    rows = [int(r) for r in corpus.train if corpus.entries[int(r)].concept in of and not drawings.is_square(int(r))]
    for row in rows:
        name = of[corpus.entries[row].concept].name
        for view in range(VIEWS):
            colour = str(rng.choice(list(THING_COLOURS))) if view % 2 else ""
            colour = "" if colour and held_out("colour", colour, name) else colour
            background = "white" if rng.random() < ON_WHITE else str(rng.choice(list(BACKGROUNDS)))
            crops.append(_view(drawings.cut(row, colour), BACKGROUNDS[background], side, rng))
            names.append(name)
    return np.stack(crops), names


def _view(cut: Pixels, background: tuple[int, int, int], side: int, rng: np.random.Generator) -> Pixels:
    scale = int(rng.integers(*SIZES)) / max(cut.shape[:2])
    size = max(4, round(cut.shape[1] * scale)), max(4, round(cut.shape[0] * scale))
    small = Image.fromarray(cut).convert("RGBa").resize(size, Image.Resampling.LANCZOS).convert("RGBA")
    canvas = Image.new("RGB", size, background)
    canvas.paste(small, (0, 0), small)
    whole = Component(np.ones(size[::-1], bool), (0, 0, *size))
    crop = cut_out(np.asarray(canvas), whole, np.array(background, np.float64), side)
    if rng.random() < 0.5:
        less = int(rng.integers(*BLURS))
        blurred = Image.fromarray(crop).resize((less, less), Image.Resampling.BOX)
        crop = np.asarray(blurred.resize((side, side), Image.Resampling.BILINEAR))
    return crop
