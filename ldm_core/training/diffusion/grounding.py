"""Words kept to their things: what attends to a thing's word should lie inside it (TokenCompose, Wang et al. 2023)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from math import isqrt

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ldm_core.models.attention import BasicTransformerBlock, CrossAttention

THINGS = 2  # of a scene at most


@contextmanager
def cross_attention_maps(unet: nn.Module, wanted: bool = True) -> Iterator[list[Tensor]]:
    """Inside the context every cross-attention of `unet` also leaves its map [B,heads,N,L], with gradients.

    The map is computed a second time by a hook: queries and keys of a few tokens, next to a step's convolutions.
    """
    maps: list[Tensor] = []

    def record(attn: CrossAttention, args: tuple[Tensor, ...], _out: Tensor) -> None:
        maps.append(attn.weights(*args))

    blocks = [m for m in unet.modules() if isinstance(m, BasicTransformerBlock)] if wanted else []
    handles = [block.attn2.register_forward_hook(record) for block in blocks]
    try:
        yield maps
    finally:
        for handle in handles:
            handle.remove()


def grounding_loss(maps: list[Tensor], owner: Tensor, words: Tensor, rows: Tensor) -> Tensor:
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
    return torch.stack(losses).mean() if losses else maps[0].new_zeros((), dtype=torch.float32)
