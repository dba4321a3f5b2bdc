"""What a diffusion step is made of, drawn on the CPU: latents, captions as read, noise levels and noise.

A batch is a function of its step alone. So processes can draw it before it is asked for, and a GPU waits for nobody.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple, Protocol

import numpy as np
import torch
from accelerate import Accelerator
from numpy.typing import NDArray
from torch import Tensor

from ldm_core.data.captions import caption, read_synonyms
from ldm_core.data.corpus import Corpus
from ldm_core.training.common.distributed import WHOLE, Share, own_share
from ldm_core.training.common.loop import step_rng, torch_rng
from ldm_core.training.diffusion.conditions import Condition
from ldm_core.training.diffusion.latents import LatentCache
from ldm_core.training.diffusion.settings import DiffusionTraining

Rows = NDArray[np.integer]
Captioner = Callable[[int, np.random.Generator, str], str]  # row, randomness, background → caption


class Batch(NamedTuple):
    """A share of a step's samples, on the CPU."""

    z: Tensor  # scaled latents, fp32 [B,4,h,w]
    cond: Tensor  # captions as their condition reads them, [B,…]
    t: Tensor  # int64 [B]
    noise: Tensor  # fp32 [B,4,h,w]
    owner: Tensor | None = None  # composed scenes: uint8 [B,h,w], i + 1 where the i-th thing is
    words: Tensor | None = None  # composed scenes: int8 [B,2], where the context names each thing, -1 for nowhere


def stratified_timesteps(rng: np.random.Generator, n: int, timesteps: int) -> Tensor:
    """n timesteps int64, one in each of n equal ranges, in random order: their mean varies less."""
    strata = (rng.permutation(n) + rng.random(n)) / n
    return torch.from_numpy((strata * timesteps).astype(np.int64))


class BatchSource(Protocol):
    """What a diffusion run trains on."""

    @property
    def latent_shape(self) -> Sequence[int]:
        """[C,h,w] of its latents."""

    @property
    def scale_factor(self) -> float:
        """What they were multiplied by to have std ≈ 1."""

    def __getitem__(self, step: int) -> Batch:
        """This process's share of a training step, a function of the step."""

    def missing(self, step: int) -> str | None:
        """See Task.missing."""

    def validation(self) -> Iterator[tuple[str, Iterator[Batch]]]:
        """Sets of held-out batches by name, always with the same noise."""


@dataclass(frozen=True)
class CaptionedRows:
    """The rows of a corpus that are trained on, their captions, and the rows of validation."""

    draw: Callable[[np.random.Generator, int], Rows]
    caption: Captioner
    heldout: Rows


@dataclass(frozen=True)
class Batches:
    """Step → batch: rows of a latent cache, a background and a caption each, a noise level, noise."""

    cache: LatentCache
    rows: CaptionedRows
    read: Callable[[Sequence[str]], Tensor]
    timesteps: int
    size: int  # samples of a step, over all processes
    seed: int
    white_share: float
    caption_dropout: float
    share: Share = WHOLE

    @property
    def latent_shape(self) -> Sequence[int]:
        """[C,h,w] of its latents."""
        return self.cache.moments[0].shape[2:]

    @property
    def scale_factor(self) -> float:
        """The cache's."""
        return self.cache.scale_factor

    def missing(self, step: int) -> str | None:
        """Nothing: a cache is whole before it is opened."""
        return None

    def validation(self) -> Iterator[tuple[str, Iterator[Batch]]]:
        """The held-out rows, as "val"."""
        rng = step_rng(self.seed, 0, stream=1)
        parts = np.array_split(self.rows.heldout, max(1, len(self.rows.heldout) // 64))
        yield "val", (self.of(rows, rng) for rows in parts)

    def __getitem__(self, step: int) -> Batch:
        """This process's share of a training step."""
        rng = step_rng(self.seed, step)
        return self.of(self.rows.draw(rng, self.size), rng, self.share)

    def of(self, rows: Rows, rng: np.random.Generator, share: Share = WHOLE) -> Batch:
        """A share of the given rows; the whole step's randomness is drawn, whatever the share."""
        n, own = len(rows), share.of(len(rows))
        passes = self._passes(rng, n)
        shape = (n, *self.latent_shape)
        z = self.cache.sample(rows[own], passes[own], torch.randn(shape, generator=torch_rng(rng))[own])
        grounds = [self.cache.names[self.cache.backgrounds[p, r]] for p, r in zip(passes, rows, strict=True)]
        prompts = np.array([self.rows.caption(int(r), rng, g) for r, g in zip(rows, grounds, strict=True)])
        prompts[rng.random(n) < self.caption_dropout] = ""
        t = stratified_timesteps(rng, n, self.timesteps)
        noise = torch.randn(shape, generator=torch_rng(rng))
        return Batch(z, self.read(prompts[own].tolist()), t[own], noise[own])

    def _passes(self, rng: np.random.Generator, n: int) -> NDArray[np.int64]:
        """Pass 0, on white, for `white_share` of the samples; any coloured pass for the others."""
        white, coloured = rng.random(n) < self.white_share, len(self.cache.moments) - 1
        return np.where(white, 0, rng.integers(1, coloured + 1, n) if coloured else 0)


def caption_rows(corpus: Corpus, tone_power: float) -> CaptionedRows:
    """A corpus' rows, captioned anew each time; tone_power as in `Corpus.sample`. ValueError where none is held out."""
    synonyms = read_synonyms()
    return CaptionedRows(
        partial(corpus.sample, tone_power=tone_power),
        lambda row, rng, background: caption(corpus.entries[row], rng, background, synonyms),
        corpus.require_heldout(),
    )


def drawing_batches(
    settings: DiffusionTraining, cache: LatentCache, rows: CaptionedRows, condition: Condition, accelerator: Accelerator
) -> Batches:
    """What a run on single drawings trains on."""
    heldout = np.sort(np.random.default_rng(0).permutation(rows.heldout)[: settings.validation])
    return Batches(
        cache,
        replace(rows, heldout=heldout),
        condition.read,
        timesteps=settings.model.schedule.timesteps,
        size=settings.loop.batch,
        seed=settings.loop.seed,
        white_share=settings.white_share,
        caption_dropout=settings.caption_dropout,
        share=own_share(accelerator),
    )
