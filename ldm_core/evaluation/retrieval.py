"""Does the judge find the caption that a picture was made from? Real drawings first: they are the ceiling."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ldm_core.evaluation.judge import JudgeModel, KindAndStyle
from ldm_core.evaluation.metrics import top_share
from ldm_core.evaluation.report import Metric


def retrieval(
    judge: JudgeModel, made: Tensor, real: Tensor, captions: Sequence[KindAndStyle], asked: Tensor
) -> list[Metric]:
    """Pictures and drawings as features [N,F], all held-out captions [K], what each is [N] → top-1, top-5."""
    scores = [judge.captions(features, captions) for features in (made, real)]
    return [
        Metric(
            f"retrieval top-{k}",
            *_pair(scores, asked, k),
            target=target,
            of_real=True,
            note=f"among {len(captions)} held-out captions",
        )
        for k, target in ((1, 0.7), (5, 0.8))
    ]


def composition(
    judge: JudgeModel, made: Tensor, real: Tensor, captions: Sequence[KindAndStyle], asked: Tensor
) -> list[Metric]:
    """Name and style both right, among every held-out name in every style: the pairs as such were never seen."""
    names, styles = sorted({name for name, _ in captions}), judge.network.config.styles
    every = [(name, style) for name in names for style in styles]
    wanted = [captions[i] for i in asked.tolist()]
    pair = torch.tensor([names.index(n) * len(styles) + styles.index(s) for n, s in wanted])
    scores = [judge.captions(features, every) for features in (made, real)]
    by_name = [judge.names(features, names) for features in (made, real)]
    name = torch.tensor([names.index(n) for n, _ in wanted])
    by_style = [judge.styles(features) for features in (made, real)]
    style = torch.tensor([styles.index(s) for _, s in wanted])
    note = f"name and style, among {len(names)} × {len(styles)}"
    return [
        Metric("unseen pairs top-1", *_pair(scores, pair, 1), note=note),
        Metric("unseen pairs top-5", *_pair(scores, pair, 5), target=0.6, of_real=True, note=note),
        Metric("name alone top-1", *_pair(by_name, name, 1), note=f"among {len(names)} held-out names"),
        Metric("name alone top-5", *_pair(by_name, name, 5), note=f"among {len(names)} held-out names"),
        Metric("style alone", *_pair(by_style, style, 1), note=f"among {len(styles)}"),
    ]


def _pair(scores: Sequence[Tensor], right: Tensor, k: int) -> tuple[float, int, float]:
    """(pictures' share, how many, real drawings' share)."""
    made, real = scores
    return top_share(made, right, k), len(made), top_share(real, right, k)
