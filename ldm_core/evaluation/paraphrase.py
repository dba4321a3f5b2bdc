"""Words that no caption holds: does the text encoder put them beside the right names, and do the pictures show it?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from ldm_core.data.corpus import Corpus
from ldm_core.data.kinds import kind
from ldm_core.evaluation.judge import JudgeModel
from ldm_core.evaluation.metrics import top_hits
from ldm_core.evaluation.pictures import PictureMaker, composite_rows, contact_sheet, sample_indices
from ldm_core.evaluation.report import Metric, Part
from ldm_core.evaluation.settings import EvaluationSettings, part_seed
from ldm_core.evaluation.text import (
    TextStates,
    concept_names,
    encode_texts,
    is_right,
    nearest_names,
    read_paraphrases,
)
from ldm_core.pipeline import Pipeline


def encode(pipe: Pipeline, texts: Sequence[str]) -> TextStates:
    """What the text encoder makes of texts; ValueError where the pipeline has none."""
    if pipe.tokenizer is None:
        raise ValueError(f"{pipe.weights_name} has no text encoder: there is nothing to evaluate")
    return encode_texts(pipe.model.cond_stage_model, pipe.tokenizer, texts, pipe.device)


def paraphrase(judge: JudgeModel, corpus: Corpus, maker: PictureMaker, settings: EvaluationSettings) -> Part:
    """Nearest names in the text encoder's space; pictures by the judge, among the names of all training drawings.

    Pictures of the concepts' own names tell what is amiss where a word's are wrong: the word, or the drawing.
    """
    names = concept_names(corpus)
    every = [(word, right) for word, right in read_paraphrases() if any(is_right(n, right) for n in names)]
    rows = [every[i] for i in sample_indices(len(every), settings.paraphrases, settings.seed)]
    if not rows:
        return Part()
    words = [word for word, _ in rows]
    asked, known = encode(maker.pipe, words), encode(maker.pipe, names)
    near, near_by_all = nearest_names(names, asked.eos, known.eos), nearest_names(names, asked.mean, known.mean)
    close, close_by_all = (
        float(np.mean([is_right(name, right) for name, (_, right) in zip(found, rows, strict=True)]))
        for found in (near, near_by_all)
    )
    shown = [example(corpus, right, settings.seed) for _, right in rows]
    seed = part_seed(settings.seed, "paraphrases")
    made = maker.generate("paraphrases", words, seed)
    named = maker.generate("own names", [corpus.entries[i].concept for i in shown], seed)
    real = composite_rows(corpus, shown)
    kinds = sorted({kind(name) for name in names})
    right = torch.tensor([[k in allowed for k in kinds] for allowed in (right_kinds(names, r) for _, r in rows)])
    scores, own, ceiling = (judge.names(judge.features(images), kinds) for images in (made, named, real))

    def hits(name: str, found: Tensor, k: int, target: float | None = None) -> Metric:
        share, most = (float(top_hits(s, right, k).float().mean()) for s in (found, ceiling))
        full = f"{name} as pictures, top-{k}"
        return Metric(full, share, len(rows), most, target, target is not None, note=f"among {len(kinds)} names")

    metrics = [
        Metric("paraphrases nearest in text space", close, len(rows), target=0.8, note=f"among {len(names)} names"),
        Metric("paraphrases nearest, all states' mean", close_by_all, len(rows), note="what the UNet is shown"),
        hits("paraphrases", scores, 1, target=0.5),
        hits("paraphrases", scores, 5),
        hits("their concepts' names", own, 1),
        hits("their concepts' names", own, 5),
    ]
    reads = [kinds[int(i)] for i in scores.argmax(1)]
    details = {
        "words": [{"word": w, "nearest": n, "judge_reads": r} for w, n, r in zip(words, near, reads, strict=True)]
    }
    return Part(metrics, details, {"paraphrases": contact_sheet([real, named, made], 20, 96, len(made))})


def right_kinds(names: Sequence[str], right: Sequence[str]) -> set[str]:
    """The kinds of the concepts that hold one of the right words."""
    return {kind(name) for name in names if is_right(name, right)}


def example(corpus: Corpus, right: Sequence[str], seed: int) -> int:
    """A row that shows one of the right words, a held-out one where there is one."""
    rows = [i for i, e in enumerate(corpus.entries) if is_right(e.concept, right) and not e.tone]
    rows = rows or [i for i, e in enumerate(corpus.entries) if is_right(e.concept, right)]
    unseen = [i for i in rows if corpus.entries[i].split == "heldout"]
    return int(np.random.default_rng(seed).choice(unseen or rows))
