"""Pictures of the held-out captions: retrieval, composition, KID, and how near they come to training drawings."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ldm_core.data.captions import canonical_caption
from ldm_core.data.colours import BACKGROUNDS
from ldm_core.data.corpus import Corpus
from ldm_core.data.kinds import heldout_captions
from ldm_core.evaluation.colours import background_of
from ldm_core.evaluation.judge import JudgeModel, KindAndStyle, unit
from ldm_core.evaluation.kid import feature_kid, nearest_distance
from ldm_core.evaluation.pictures import PictureMaker, Progress, composite_rows, contact_sheet, resize, sample_indices
from ldm_core.evaluation.report import Metric, Part
from ldm_core.evaluation.retrieval import composition, retrieval
from ldm_core.evaluation.settings import EvaluationSettings, part_seed
from ldm_core.images import Pixels

GRID = 32  # pixels of the copies that are compared as such
NEAR = 0.05  # share of the real held-out drawings that count as near a training drawing, by definition
BLOCK = 256


@dataclass(frozen=True)
class Heldout:
    """All held-out captions, which of them were asked [N], their drawings and the pictures made of them."""

    captions: list[KindAndStyle]
    asked: Tensor
    prompts: list[str]
    real: Pixels
    made: Pixels


def generate_heldout(corpus: Corpus, maker: PictureMaker, settings: EvaluationSettings) -> Heldout:
    """One picture for each of `settings.heldout` captions, on white."""
    captions = heldout_captions(corpus)
    asked = sample_indices(len(captions), settings.heldout, settings.seed)
    rows = np.array(list(captions.values()))[asked]
    prompts = [canonical_caption(corpus.entries[r]) for r in rows]
    made = maker.generate("held-out captions", prompts, part_seed(settings.seed, "heldout"))
    return Heldout(list(captions), torch.from_numpy(asked), prompts, composite_rows(corpus, rows), made)


def heldout(
    judge: JudgeModel, corpus: Corpus, maker: PictureMaker, settings: EvaluationSettings, progress: Progress
) -> Part:
    """Every metric of the held-out captions."""
    shown = generate_heldout(corpus, maker, settings)
    made, real = judge.features(shown.made), judge.features(shown.real)
    metrics = retrieval(judge, made, real, shown.captions, shown.asked)
    metrics += composition(judge, made, real, shown.captions, shown.asked)
    progress("training drawings", 0)
    known, small = training_views(judge, corpus)
    if len(made) > 1:
        again = known[torch.from_numpy(sample_indices(len(known), len(real), settings.seed + 1))]
        distance, noise = feature_kid(made, real), feature_kid(again, real)
        metrics.append(Metric("KID × 1000", 1000 * distance, len(made), 1000 * noise, note="real: training drawings"))
    metrics += copying("features", unit(made), unit(real), unit(known))
    metrics += copying("pixels", pixels(shown.made), pixels(shown.real), small)
    white = float(np.mean([background_of(image, BACKGROUNDS) == "white" for image in shown.made]))
    metrics.append(Metric("white where no colour is asked", white, len(made), note="border median"))
    found = [int(i) for i in judge.captions(made, shown.captions).argmax(1)]
    read = [", ".join(shown.captions[i]) for i in found]
    details = {"prompts": shown.prompts, "judge_reads": read}
    return Part(metrics, details, {"heldout": contact_sheet([shown.real, shown.made], 16, 96)})


def pixels(images: Pixels) -> Tensor:
    """uint8 [N,H,W,3] → small copies [N,D], scaled so that Euclidean distance is the root mean square difference in
    levels 0…255.
    """
    small = torch.from_numpy(resize(images, GRID).reshape(len(images), -1)).float()
    return small / small.shape[1] ** 0.5


def training_views(judge: JudgeModel, corpus: Corpus) -> tuple[Tensor, Tensor]:
    """Every training drawing on white: features [M,F], small copies [M,D]."""
    features, small = [], []
    for start in range(0, len(corpus.train), BLOCK):
        images = composite_rows(corpus, corpus.train[start : start + BLOCK])
        features.append(judge.features(images))
        small.append(pixels(images))
    return torch.cat(features), torch.cat(small)


def copying(space: str, made: Tensor, real: Tensor, known: Tensor) -> list[Metric]:
    """Distance to the nearest training drawing: its median, and the share of near-copies. Near is what the nearest
    5 % of the real held-out drawings are.
    """
    ours, theirs = nearest_distance(made, known), nearest_distance(real, known)
    limit = theirs.quantile(NEAR)
    shares = [float((d <= limit).float().mean()) for d in (ours, theirs)]
    name = f"nearest training drawing, {space}"
    return [
        Metric(f"{name}: median", float(ours.median()), len(ours), float(theirs.median())),
        Metric(
            f"{name}: near-copies",
            shares[0],
            len(ours),
            shares[1],
            target=1.0,
            of_real=True,
            at_most=True,
            note=f"nearer than {float(limit):.3g}",
        ),
    ]
