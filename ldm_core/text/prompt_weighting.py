"""What prompt weights do to a context; how they are written is in prompt_syntax."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ldm_core.text.prompt_syntax import MAX_WEIGHT, Piece, weight_beyond

RESCALE = (0.5, 2.0)  # beyond this the mean was near zero, and dividing by it would only amplify noise


def token_weights(pieces: Sequence[Piece], spans: Sequence[tuple[int, int]], length: int) -> Tensor:
    """The weight of each of `length` ids: bos, then the tokens whose character spans in the plain text are given, then
    padding. A token has the weight of the piece it begins in; bos, eos and padding have 1. fp32 [length].

    Raises ValueError for a weight beyond ±MAX_WEIGHT.
    """
    if (beyond := weight_beyond(pieces)) is not None:
        raise ValueError(f"a prompt weight must lie in -{MAX_WEIGHT:g}…{MAX_WEIGHT:g}, not {beyond:g}")
    ends, position = [], 0
    for piece in pieces:
        position += len(piece.text)
        ends.append((position, piece.weight))
    weights = torch.ones(length)
    for i, (start, _) in enumerate(spans[: length - 2]):
        weights[i + 1] = next((w for end, w in ends if start < end), 1.0)
    return weights


def weigh(context: Tensor, weights: Tensor) -> Tensor:
    """Context [L,D] with each token's row multiplied by its weight [L], and the mean over all elements restored.

    Restoring multiplies everything by one number, as is customary; where the mean is so near zero that this number
    would leave [½, 2], the difference of the means is added instead.
    """
    if bool((weights == 1.0).all()):
        return context
    mean = context.float().mean()
    heavy = context.float() * weights.to(context.device)[:, None]
    ratio = mean / heavy.mean()
    low, high = RESCALE
    restored = heavy * ratio if low <= float(ratio) <= high else heavy + (mean - heavy.mean())
    return restored.to(context.dtype)
