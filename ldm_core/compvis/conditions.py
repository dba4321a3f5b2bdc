"""Conditions as CompVis' samplers take them, and both of classifier-free guidance in one batch."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

Condition = Any  # a tensor [B,…], a list of them, or a dict of either


def batch_sizes(condition: Condition) -> list[int]:
    """Samples in each tensor of a condition."""
    if condition is None:
        return []
    if isinstance(condition, Tensor):
        return [len(condition)]
    parts = condition.values() if isinstance(condition, dict) else condition
    return [n for part in parts for n in batch_sizes(part)]


def concat_conditions(uncond: Condition, cond: Condition) -> Condition:
    """Both conditions one after the other in the batch, whatever holds them."""
    if isinstance(cond, Tensor):
        return torch.cat([uncond, cond])
    if isinstance(cond, dict):
        return {name: concat_conditions(uncond[name], part) for name, part in cond.items()}
    return [concat_conditions(u, part) for u, part in zip(uncond, cond, strict=True)]
