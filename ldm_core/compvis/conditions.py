"""Conditions as CompVis' samplers take them, and both of classifier-free guidance in one batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from ldm_core.models.latent_diffusion import Condition


def batch_sizes(condition: Condition) -> list[int]:
    """Samples in each tensor of a condition."""
    if condition is None:
        return []
    if isinstance(condition, Tensor):
        return [len(condition)]
    if isinstance(condition, Mapping):
        return [n for parts in condition.values() for n in batch_sizes(parts)]
    return [len(part) for part in condition]


def concat_conditions(uncond: Condition, cond: Condition) -> Condition:
    """Both conditions one after the other in the batch, whatever holds them; ValueError where that is not the same."""
    if isinstance(cond, Tensor) and isinstance(uncond, Tensor):
        return torch.cat([uncond, cond])
    if isinstance(cond, Mapping) and isinstance(uncond, Mapping):
        return {name: _concat_all(uncond[name], parts) for name, parts in cond.items()}
    if isinstance(cond, Sequence) and isinstance(uncond, Sequence):
        return _concat_all(uncond, cond)
    kinds = f"{type(cond).__name__} and {type(uncond).__name__}"
    raise ValueError(f"a condition and the unconditional one must be of one kind, not {kinds}")


def _concat_all(uncond: Sequence[Tensor], cond: Sequence[Tensor]) -> list[Tensor]:
    return [torch.cat(both) for both in zip(uncond, cond, strict=True)]
