"""The judge as the metrics use it: pictures in, features and scores out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from ldm_core.checkpoint.judge import load_judge
from ldm_core.images import Pixels, to_tensor
from ldm_core.models.judge import Judge

BATCH = 64
KindAndStyle = tuple[str, str]


class JudgeModel:
    """A judge with its batches."""

    def __init__(self, judge: Judge, sha256: str = "") -> None:
        self.network, self.sha256 = judge.eval(), sha256

    @classmethod
    def load(cls, path: Path) -> JudgeModel:
        """CheckpointError, one sentence, where there is no judge."""
        return cls(*load_judge(path.expanduser()))

    @torch.no_grad()
    def features(self, images: Pixels) -> Tensor:
        """uint8 [N,H,W,3] → [N,F], as the judge pools them."""
        parts = [self.network.pooled(to_tensor(images[i : i + BATCH])) for i in range(0, len(images), BATCH)]
        return torch.cat(parts) if parts else torch.empty(0, self.network.config.features)

    @torch.no_grad()
    def names(self, features: Tensor, names: Sequence[str]) -> Tensor:
        """Features [N,F], K kinds → scores [N,K]."""
        return self.network.name_scores(features, self.network.ids(names))

    @torch.no_grad()
    def styles(self, features: Tensor) -> Tensor:
        """Features [N,F] → scores [N,S] over `network.config.styles`."""
        return self.network.style_scores(features)

    def captions(self, features: Tensor, captions: Sequence[KindAndStyle]) -> Tensor:
        """Features [N,F], K captions → scores [N,K]: name and style taken as independent given the picture."""
        names = sorted({name for name, _ in captions})
        column = {name: i for i, name in enumerate(names)}
        by_name, by_style = self.names(features, names), self.styles(features)
        return (
            by_name[:, [column[name] for name, _ in captions]]
            + by_style[:, [self.network.config.styles.index(style) for _, style in captions]]
        )


def unit(features: Tensor) -> Tensor:
    """Rows of length 1, so that distances are 1 − cosine."""
    return F.normalize(features, dim=1)
