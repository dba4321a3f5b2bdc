"""Linear probes: what can be read off frozen features by a linear map?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

RIDGE = 1.0  # weight of the squared norm in `ridge_probe`


@torch.enable_grad()
def fit_linear(
    features: Tensor,
    labels: Tensor,
    classes: int,
    *,
    steps: int,
    batch: int,
    lr: float,
    weight_decay: float = 0.0,
    label_smoothing: float = 0.0,
    seed: int,
) -> nn.Linear:
    """A frozen linear head for features [N,F] and labels [N]: logistic regression by Adam from zero, lr falls to 0."""
    head = nn.Linear(features.shape[1], classes)
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)
    adam = torch.optim.Adam(head.parameters(), lr, weight_decay=weight_decay)
    rng = torch.Generator().manual_seed(seed)
    for step in range(steps):
        for group in adam.param_groups:
            group["lr"] = lr * (1 - step / steps)
        rows = torch.randint(len(features), (batch,), generator=rng)
        adam.zero_grad()
        loss = F.cross_entropy(head(features[rows]), labels[rows], label_smoothing=label_smoothing)
        loss.backward()  # type: ignore[no-untyped-call]
        adam.step()
    return head.requires_grad_(False)


def ridge_probe(x: Tensor, labels: Sequence[str], x_test: Tensor, labels_test: Sequence[str]) -> float:
    """Accuracy of a linear map fitted by ridge regression on [N,D] and asked on other rows."""
    kinds = {label: i for i, label in enumerate(dict.fromkeys(labels))}
    y = F.one_hot(torch.tensor([kinds[label] for label in labels]), len(kinds)).float()
    mean, std = x.mean(0), x.std(0) + 1e-6
    a, b = ((v - mean) / std for v in (x, x_test))
    weights = torch.linalg.solve(a.T @ a + RIDGE * torch.eye(a.shape[1]), a.T @ (y - y.mean(0)))
    guess = (b @ weights + y.mean(0)).argmax(1).tolist()
    return float(np.mean([kinds.get(label, -1) == g for label, g in zip(labels_test, guess, strict=True)]))
