"""Pictures to measure: made from prompts in batches, and real drawings on their grounds."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from ldm_core.data.colours import BACKGROUNDS
from ldm_core.data.corpus import Corpus
from ldm_core.diffusion.sample_loop import sample_latents
from ldm_core.diffusion.samplers import SAMPLERS
from ldm_core.evaluation.settings import EvaluationSettings
from ldm_core.images import Pixels, composite, picture_grid, to_tensor, to_uint8
from ldm_core.pipeline import Pipeline

Progress = Callable[[str, int], None]  # what is being done, how many pictures more are done


class Painter:
    """Prompts → pictures, many prompts in a batch; picture i is the picture of seed + i."""

    def __init__(self, pipe: Pipeline, settings: EvaluationSettings, progress: Progress) -> None:
        if settings.sampler not in SAMPLERS:
            raise ValueError(f"sampler must be one of {', '.join(SAMPLERS)}, not {settings.sampler!r}")
        self.pipe, self.settings, self.progress = pipe, settings, progress

    @torch.no_grad()
    def __call__(self, what: str, prompts: Sequence[str], seed: int) -> Pixels:
        """N prompts → uint8 [N,H,W,3]; `what` names the part in progress."""
        pipe, s = self.pipe, self.settings
        empty, shape = pipe.encode_prompt("")[None], pipe.config.latent_shape()
        model, made = pipe.model, []
        for start in range(0, len(prompts), s.batch):
            self.progress(what, 0)
            contexts = torch.stack([pipe.encode_prompt(p) for p in prompts[start : start + s.batch]])
            z = sample_latents(
                model.apply_model, model.schedule, pipe.config.parameterization, contexts, empty, shape,
                s.steps, s.guidance_scale, seed + start, s.sampler,
            )  # fmt: skip
            made.append(pipe.decode(z))
            self.progress(what, len(contexts))
        return np.concatenate(made) if made else np.empty((0, *pipe.config.latent_shape()[1:], 3), np.uint8)


def drawn(corpus: Corpus, rows: Sequence[int] | NDArray[np.integer], grounds: Sequence[str] | str = "white") -> Pixels:
    """Real drawings uint8 [N,H,W,3] on named colours, one for all or one each."""
    names = [grounds] * len(rows) if isinstance(grounds, str) else grounds
    colours = np.array([BACKGROUNDS[name] for name in names], np.uint8).reshape(-1, 3)
    return composite(np.stack([corpus.drawing(int(r)) for r in rows]), colours)


def resized(images: Pixels, side: int) -> Pixels:
    """uint8 [N,H,W,3] → [N,side,side,3], by area."""
    if images.shape[1:3] == (side, side):
        return images
    return to_uint8(F.interpolate(to_tensor(images), size=(side, side), mode="area"))


def sheet(rows: Sequence[Pixels], columns: int, side: int, limit: int = 96) -> Pixels:
    """Series of N pictures → one picture, in which the i-th of every series stand below each other."""
    rows = [resized(series[:limit], side) for series in rows]
    bands = [series[i : i + columns] for i in range(0, len(rows[0]), columns) for series in rows]
    full = [np.concatenate([b, np.full((columns - len(b), *b.shape[1:]), 255, np.uint8)]) for b in bands]
    return picture_grid(np.concatenate(full), columns)


def chosen(n: int, limit: int, seed: int) -> NDArray[np.int64]:
    """`limit` of n indices at most, drawn from the seed, in rising order."""
    return np.sort(np.random.default_rng(seed).permutation(n)[:limit])
