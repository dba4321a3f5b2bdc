"""Pictures to measure: made from prompts in batches, and real drawings on their backgrounds."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from ldm_core.data.colours import BACKGROUNDS
from ldm_core.data.corpus import Corpus
from ldm_core.diffusion.sample_loop import finish, sample_loop
from ldm_core.evaluation.settings import EvaluationSettings
from ldm_core.images import Pixels, composite, picture_grid, to_tensor, to_uint8
from ldm_core.pipeline import Pipeline
from ldm_core.sampling import SamplingParams

Progress = Callable[[str, int], None]  # what is being done, how many pictures more are done


class PictureMaker:
    """Prompts → pictures, many prompts in a batch; picture i is the picture of seed + i."""

    def __init__(self, pipe: Pipeline, settings: EvaluationSettings, progress: Progress) -> None:
        SamplingParams("x", sampler=settings.sampler, steps=settings.steps).check(pipe.limits)
        self.pipe, self.settings, self.progress = pipe, settings, progress

    @torch.no_grad()
    def generate(self, what: str, prompts: Sequence[str], seed: int) -> Pixels:
        """N prompts → uint8 [N,H,W,3]; `what` names the part in progress."""
        pipe, s, made = self.pipe, self.settings, []
        for start in range(0, len(prompts), s.batch):
            self.progress(what, 0)
            part = prompts[start : start + s.batch]
            rows = []
            for i, prompt in enumerate(part, start):
                rows += pipe.prepare(
                    SamplingParams(
                        prompt, steps=s.steps, guidance_scale=s.guidance_scale, sampler=s.sampler, seed=seed + i
                    )
                )
            made.append(pipe.decode(finish(sample_loop(pipe.denoise, rows))))
            self.progress(what, len(part))
        return np.concatenate(made) if made else np.empty((0, *pipe.config.latent_shape()[1:], 3), np.uint8)


def composite_rows(
    corpus: Corpus, rows: Sequence[int] | NDArray[np.integer], backgrounds: Sequence[str] | str = "white"
) -> Pixels:
    """Real drawings uint8 [N,H,W,3] on named colours, one for all or one each."""
    names = [backgrounds] * len(rows) if isinstance(backgrounds, str) else backgrounds
    colours = np.array([BACKGROUNDS[name] for name in names], np.uint8).reshape(-1, 3)
    return composite(np.stack([corpus.drawing(int(r)) for r in rows]), colours)


def resize(images: Pixels, side: int) -> Pixels:
    """uint8 [N,H,W,3] → [N,side,side,3], by area."""
    if images.shape[1:3] == (side, side):
        return images
    return to_uint8(F.interpolate(to_tensor(images), size=(side, side), mode="area"))


def contact_sheet(rows: Sequence[Pixels], columns: int, side: int, limit: int = 96) -> Pixels:
    """Series of N pictures → one picture, in which the i-th of every series stand below each other."""
    rows = [resize(series[:limit], side) for series in rows]
    bands = [series[i : i + columns] for i in range(0, len(rows[0]), columns) for series in rows]
    full = [np.concatenate([b, np.full((columns - len(b), *b.shape[1:]), 255, np.uint8)]) for b in bands]
    return picture_grid(np.concatenate(full), columns)


def sample_indices(n: int, limit: int, seed: int) -> NDArray[np.int64]:
    """`limit` of n indices at most, drawn from the seed, in rising order."""
    return np.sort(np.random.default_rng(seed).permutation(n)[:limit])
