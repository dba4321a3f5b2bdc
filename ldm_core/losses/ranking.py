"""Retrieval: is the right candidate among the best?"""

from __future__ import annotations

import torch
from torch import Tensor


def top_hits(scores: Tensor, right: Tensor, k: int) -> Tensor:
    """scores [B,K]; right: index [B], or bool [B,K] where several are right → bool [B]: one of the k best is right.

    With equal scores the right candidate counts as the last of its equals, so that a constant judge finds nothing.
    """
    if right.dtype != torch.bool:
        right = torch.nn.functional.one_hot(right, scores.shape[1]).bool()
    best = scores.masked_fill(~right, -torch.inf).amax(1, keepdim=True)
    ahead = ((scores >= best) & ~right).sum(1)
    return (ahead < k) & right.any(1)


def top_share(scores: Tensor, right: Tensor, k: int) -> float:
    """Share of rows that `top_hits`."""
    return float(top_hits(scores, right, k).float().mean())
