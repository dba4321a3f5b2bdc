"""Words kept to their things: what attends to a thing's word should lie inside it (TokenCompose, Wang et al. 2023)."""

from __future__ import annotations

from collections.abc import Collection
from math import isqrt

import torch
from torch import Tensor
from torch.nn import functional as F

THINGS = 2  # of a scene at most


def grounding_loss(maps: Collection[Tensor], owner: Tensor, words: Tensor, rows: Tensor) -> Tensor:
    """Mean of (1 − share of a word's attention that falls on its thing)² over layers, words and chosen rows: scalar.

    maps [B,heads,N,L] of any sizes; owner uint8 [B,h,w], i + 1 where the i-th thing is; words int8 [B,2], each thing's
    place in the context, -1 for none; rows bool [B] (TokenCompose, arXiv 2312.03626, eq. 4). 0 where nothing is named.
    """
    losses = []
    for thing in range(THINGS):
        named = (rows & (words[:, thing] >= 0)).nonzero()[:, 0]
        if not len(named):
            continue
        column = words[named, thing].long()
        inside = (owner[named] == thing + 1).float()[:, None]
        for attention in maps:
            side = isqrt(attention.shape[2])
            mask = F.adaptive_max_pool2d(inside, side).flatten(1)
            looked = attention[named].float().mean(1)[torch.arange(len(named)), :, column]
            share = (looked * mask).sum(1) / looked.sum(1).clamp(min=1e-6)
            losses.append((1 - share).square().mean())
    return torch.stack(losses).mean() if losses else torch.zeros((), device=owner.device)
