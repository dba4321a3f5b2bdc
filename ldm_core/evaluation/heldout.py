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
from ldm_core.evaluation.colours import ground_of
from ldm_core.evaluation.judge import Caption, JudgeModel, unit
from ldm_core.evaluation.kid import feature_kid, nearest
from ldm_core.evaluation.pictures import Painter, Progress, chosen, drawn, resized, sheet
from ldm_core.evaluation.report import Metric, Part
from ldm_core.evaluation.retrieval import composition, retrieval
from ldm_core.evaluation.settings import EvaluationSettings
from ldm_core.images import Pixels

GRID = 32  # pixels of the copies that are compared as such
NEAR = 0.05  # share of the real held-out drawings that count as near a training drawing, by definition
BLOCK = 256


@dataclass(frozen=True)
class Heldout:
    """All held-out captions, which of them were asked [N], their drawings and the pictures made of them."""

    captions: list[Caption]
    asked: Tensor
    prompts: list[str]
    real: Pixels
    made: Pixels


def paint_heldout(corpus: Corpus, paint: Painter, settings: EvaluationSettings) -> Heldout:
    """One picture for each of `settings.heldout` captions, on white."""
    captions = heldout_captions(corpus)
    asked = chosen(len(captions), settings.heldout, settings.seed)
    rows = np.array(list(captions.values()))[asked]
    prompts = [canonical_caption(corpus.entries[r]) for r in rows]
    made = paint("held-out captions", prompts, 1_000_000 * settings.seed)
    return Heldout(list(captions), torch.from_numpy(asked), prompts, drawn(corpus, rows), made)


def heldout(eye: JudgeModel, corpus: Corpus, paint: Painter, settings: EvaluationSettings, progress: Progress) -> Part:
    """Every figure of the held-out captions."""
    shown = paint_heldout(corpus, paint, settings)
    made, real = eye.features(shown.made), eye.features(shown.real)
    figures = retrieval(eye, made, real, shown.captions, shown.asked)
    figures += composition(eye, made, real, shown.captions, shown.asked)
    progress("training drawings", 0)
    known, small = training_views(eye, corpus)
    if len(made) > 1:
        again = known[torch.from_numpy(chosen(len(known), len(real), settings.seed + 1))]
        distance, noise = feature_kid(made, real), feature_kid(again, real)
        figures.append(Metric("KID × 1000", 1000 * distance, len(made), 1000 * noise, note="real: training drawings"))
    figures += copying("features", unit(made), unit(real), unit(known))
    figures += copying("pixels", pixels(shown.made), pixels(shown.real), small)
    white = float(np.mean([ground_of(image, BACKGROUNDS) == "white" for image in shown.made]))
    figures.append(Metric("white where no colour is asked", white, len(made), note="border median"))
    found = [int(i) for i in eye.captions(made, shown.captions).argmax(1)]
    read = [", ".join(shown.captions[i]) for i in found]
    details = {"prompts": shown.prompts, "judge_reads": read}
    return Part(figures, details, {"heldout": sheet([shown.real, shown.made], 16, 96)})


def pixels(images: Pixels) -> Tensor:
    """uint8 [N,H,W,3] → small copies [N,D], scaled so that Euclidean distance is the root mean square difference in
    levels 0…255.
    """
    small = torch.from_numpy(resized(images, GRID).reshape(len(images), -1)).float()
    return small / small.shape[1] ** 0.5


def training_views(eye: JudgeModel, corpus: Corpus) -> tuple[Tensor, Tensor]:
    """Every training drawing on white: features [M,F], small copies [M,D]."""
    features, small = [], []
    for start in range(0, len(corpus.train), BLOCK):
        images = drawn(corpus, corpus.train[start : start + BLOCK])
        features.append(eye.features(images))
        small.append(pixels(images))
    return torch.cat(features), torch.cat(small)


def copying(space: str, made: Tensor, real: Tensor, known: Tensor) -> list[Metric]:
    """Distance to the nearest training drawing: its median, and the share of near-copies. Near is what the nearest
    5 % of the real held-out drawings are.
    """
    ours, theirs = nearest(made, known)[0], nearest(real, known)[0]
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
