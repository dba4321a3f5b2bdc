"""Does a picture show the thing whose bare name is the prompt, with no style and nothing else said?"""

from __future__ import annotations

import torch

from ldm_core.data.corpus import Corpus
from ldm_core.data.kinds import kind
from ldm_core.data.scenes.things import ComposableThing, things
from ldm_core.evaluation.judge import JudgeModel
from ldm_core.evaluation.metrics import top_share
from ldm_core.evaluation.pictures import PictureMaker, composite_rows, contact_sheet
from ldm_core.evaluation.report import Metric, Part
from ldm_core.evaluation.settings import EvaluationSettings, part_seed
from ldm_core.evaluation.text import concept_names


def bare_names(judge: JudgeModel, corpus: Corpus, maker: PictureMaker, settings: EvaluationSettings) -> Part:
    """The composable things, those that are asked for most first, one picture each; among all training names."""
    names = set(concept_names(corpus))
    every = sorted(things().values(), key=lambda thing: not thing.common)
    asked = [thing for thing in every if names & set(thing.concepts)][: settings.names]
    if not asked:
        return Part()
    made = maker.generate("names", [thing.name for thing in asked], part_seed(settings.seed, "names"))
    real = composite_rows(corpus, [_drawing(corpus, thing) for thing in asked])
    kinds = sorted({kind(name) for name in names})
    right = torch.tensor([[k in {kind(c) for c in thing.concepts} for k in kinds] for thing in asked])
    scores, ceiling = (judge.names(judge.features(images), kinds) for images in (made, real))
    metrics = [
        Metric(
            f"bare names top-{k}",
            top_share(scores, right, k),
            len(asked),
            top_share(ceiling, right, k),
            target,
            note=f"among {len(kinds)} names",
        )
        for k, target in ((1, 0.8), (5, None))
    ]
    reads = [kinds[int(i)] for i in scores.argmax(1)]
    details = {"names": [{"name": t.name, "judge_reads": read} for t, read in zip(asked, reads, strict=True)]}
    return Part(metrics, details, {"names": contact_sheet([real, made], 20, 96, len(made))})


def _drawing(corpus: Corpus, thing: ComposableThing) -> int:
    """A row that shows the thing, a held-out one where there is one."""
    rows = [i for i, e in enumerate(corpus.entries) if e.concept in thing.concepts]
    return next((i for i in rows if corpus.entries[i].split == "heldout"), rows[0])
