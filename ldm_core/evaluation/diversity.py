"""How different the pictures of one prompt are from seed to seed."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import torch

from ldm_core.data.corpus import Corpus
from ldm_core.evaluation.judge import JudgeModel
from ldm_core.evaluation.kid import spread
from ldm_core.evaluation.pictures import PictureMaker, composite_rows, contact_sheet, sample_indices
from ldm_core.evaluation.report import Metric, Part
from ldm_core.evaluation.settings import EvaluationSettings, part_seed

STYLES = 4  # a concept drawn in fewer styles says little about their diversity


def diversity(judge: JudgeModel, corpus: Corpus, maker: PictureMaker, settings: EvaluationSettings) -> Part:
    """Prompts that name no style, several seeds each, beside the same concepts as the real styles draw them."""
    rows: dict[str, dict[str, int]] = defaultdict(dict)
    for row, entry in enumerate(corpus.entries):
        if not entry.tone:
            rows[entry.concept].setdefault(entry.style, row)
    concepts = sorted(c for c, by_style in rows.items() if len(by_style) >= STYLES)
    asked = [concepts[i] for i in sample_indices(len(concepts), settings.prompts, settings.seed)]
    if not asked or settings.seeds < 2:
        return Part()
    prompts = [concept for concept in asked for _ in range(settings.seeds)]
    made = maker.generate("seeds", prompts, part_seed(settings.seed, "diversity"))
    features = torch.split(judge.features(made), settings.seeds)
    ours = [spread(x) for x in features]
    theirs = [spread(judge.features(composite_rows(corpus, list(rows[concept].values())))) for concept in asked]
    between = spread(judge.features(made[:: settings.seeds])) if len(asked) > 1 else float("nan")
    metric = Metric(
        "diversity over seeds",
        float(np.mean(ours)),
        len(made),
        float(np.mean(theirs)),
        note="mean 1 − cosine; real: the styles of the same concepts",
    )
    details = {"prompts": asked, "by_prompt": ours, "real_styles": theirs, "between_prompts": between}
    return Part([metric], details, {"seeds": contact_sheet([made], settings.seeds, 96, len(made))})
