"""What a diffusion step is made of, drawn on the CPU: latents, captions as numbers, noise levels and noise.

A batch is a function of its step alone. So processes can draw it before it is asked for, and a GPU waits for nobody.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ldm_core.training.common.distributed import WHOLE, Share
from ldm_core.training.common.loop import step_rng, torch_rng
from ldm_core.training.diffusion.latents import LatentCache

Rows = NDArray[np.integer]
Captioner = Callable[[int, np.random.Generator, str], str]  # row, randomness, background → caption


class Batch(NamedTuple):
    """A share of a step's samples, on the CPU."""

    z: Tensor  # scaled latents, fp32 [B,4,h,w]
    numbers: Tensor  # captions as their condition reads them, [B,…]
    t: Tensor  # int64 [B]
    noise: Tensor  # fp32 [B,4,h,w]


@dataclass(frozen=True)
class Batches:
    """Step → batch: rows, a background and a caption each, a noise level, noise."""

    cache: LatentCache
    draw: Callable[[np.random.Generator, int], Rows]
    caption: Captioner
    read: Callable[[Sequence[str]], Tensor]
    timesteps: int
    size: int  # samples of a step, over all processes
    seed: int
    white_share: float
    caption_dropout: float
    share: Share = WHOLE

    def __getitem__(self, step: int) -> Batch:
        """This process's share of a training step."""
        rng = step_rng(self.seed, step)
        return self.of(self.draw(rng, self.size), rng, self.share)

    def of(self, rows: Rows, rng: np.random.Generator, share: Share = WHOLE) -> Batch:
        """A share of the given rows; the whole step's randomness is drawn, whatever the share."""
        n, own = len(rows), share.of(len(rows))
        passes = self._passes(rng, n)
        shape = (n, *self.cache.moments[0].shape[2:])
        z = self.cache.sample(rows[own], passes[own], torch.randn(shape, generator=torch_rng(rng))[own])
        grounds = [self.cache.names[self.cache.backgrounds[p, r]] for p, r in zip(passes, rows, strict=True)]
        prompts = np.array([self.caption(int(r), rng, g) for r, g in zip(rows, grounds, strict=True)])
        prompts[rng.random(n) < self.caption_dropout] = ""
        strata = (rng.permutation(n) + rng.random(n)) / n  # one t in each of n equal ranges: same mean, less variance
        t = torch.from_numpy((strata * self.timesteps).astype(np.int64))
        noise = torch.randn(shape, generator=torch_rng(rng))
        return Batch(z, self.read(prompts[own].tolist()), t[own], noise[own])

    def _passes(self, rng: np.random.Generator, n: int) -> NDArray[np.int64]:
        """Pass 0, on white, for `white_share` of the samples; any coloured pass for the others."""
        white, coloured = rng.random(n) < self.white_share, len(self.cache.moments) - 1
        return np.where(white, 0, rng.integers(1, coloured + 1, n) if coloured else 0)
