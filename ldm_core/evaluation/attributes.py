"""Does a picture stand on the colour it was asked for, and show the skin tone?"""

from __future__ import annotations

import numpy as np

from ldm_core.data.captions import canonical_caption
from ldm_core.data.colours import BACKGROUNDS
from ldm_core.data.corpus import SIZE, Corpus
from ldm_core.data.kinds import heldout_captions
from ldm_core.data.names import TONES
from ldm_core.evaluation.colours import background_of, border
from ldm_core.evaluation.pictures import PictureMaker, composite_rows, contact_sheet, resize, sample_indices
from ldm_core.evaluation.report import Metric, Part
from ldm_core.evaluation.settings import EvaluationSettings, part_seed
from ldm_core.evaluation.tones import tone_of, tone_palettes, toned_pairs
from ldm_core.images import Pixels


def backgrounds(corpus: Corpus, maker: PictureMaker, settings: EvaluationSettings) -> Part:
    """Held-out captions, on each named colour but white as many; the border's median says what came of it."""
    free = [r for r in heldout_captions(corpus).values() if (border(corpus.drawing(r))[:, 3] == 0).mean() > 0.75]
    if not free:
        return Part()
    names = [name for name in BACKGROUNDS if name != "white" for _ in range(settings.backgrounds)]
    rows = np.resize(np.random.default_rng(settings.seed).permutation(free), len(names))
    prompts = [canonical_caption(corpus.entries[r], name) for r, name in zip(rows, names, strict=True)]
    made = maker.generate("backgrounds", prompts, part_seed(settings.seed, "backgrounds"))
    real = composite_rows(corpus, rows, names)
    read = [[background_of(image, BACKGROUNDS) for image in images] for images in (made, real)]
    ours, theirs = (np.array([a == b for a, b in zip(found, names, strict=True)]) for found in read)
    metric = Metric(
        "background colour", float(ours.mean()), len(names), float(theirs.mean()), target=0.9, note="border median"
    )
    by_name = {n: float(ours[[i for i, m in enumerate(names) if m == n]].mean()) for n in dict.fromkeys(names)}
    details = {"by_colour": by_name, "prompts": prompts, "read": read[0]}
    return Part([metric], details, {"backgrounds": contact_sheet([made], settings.backgrounds, 96, len(made))})


def tones(corpus: Corpus, maker: PictureMaker, settings: EvaluationSettings) -> Part:
    """Held-out pairs that come in all five skin tones, asked for in each; the tone that most pixels are near to."""
    palettes, pairs = tone_palettes(corpus), toned_pairs(corpus, corpus.heldout)
    known = [pair for pair in sorted(pairs) if pair[1] in palettes]
    asked = [known[i] for i in sample_indices(len(known), settings.tones, settings.seed)]
    if not asked:
        return Part()
    rows = np.array([r for pair in asked for r in pairs[pair]])
    prompts = [canonical_caption(corpus.entries[r]) for r in rows]
    made, real = maker.generate("skin tones", prompts, part_seed(settings.seed, "tones")), composite_rows(corpus, rows)
    styles = [corpus.entries[r].style for r in rows]
    wanted = np.tile(np.arange(len(TONES)), len(asked))

    def read(images: Pixels) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        return np.array([tone_of(i, palettes[s]) for i, s in zip(resize(images, SIZE), styles, strict=True)])

    found, theirs = read(made), read(real)
    share, ceiling = float((found == wanted).mean()), float((theirs == wanted).mean())
    near = [float(((np.abs(x - wanted) <= 1) & (x >= 0)).mean()) for x in (found, theirs)]
    metrics = [
        Metric("skin tone", share, len(rows), ceiling, target=0.8, note="the tone most pixels are nearest to"),
        Metric("skin tone, at most one step off", near[0], len(rows), near[1]),
    ]
    table = [[int(((wanted == i) & (found == j)).sum()) for j in (*range(len(TONES)), -1)] for i in range(len(TONES))]
    details = {"prompts": prompts, "asked_by_read": table, "read_columns": [*TONES, "none"]}
    return Part(metrics, details, {"tones": contact_sheet([real, made], len(TONES) * 3, 96, len(made))})
