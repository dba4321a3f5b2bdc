"""A loaded pipeline as the engine asks it: rows in, rows further on."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from app.engine.job import Job
from ldm_core.devices import memory_guard
from ldm_core.diffusion.denoiser import ModelInput
from ldm_core.diffusion.gaussian import Prediction
from ldm_core.diffusion.sample_loop import Row, advance
from ldm_core.images import Pixels
from ldm_core.pipeline import Pipeline, paste_kept


@dataclass(eq=False)
class PipelineRow:
    """One picture's row and the question it asks (app.engine.rows.Row)."""

    job: Job
    index: int
    row: Row
    pixels: int
    i: int = 0
    t: float = 0.0
    error: Exception | None = None
    latent: Tensor | None = None  # fp32 [C,h,w]: x0's estimate on the way, at the end the result
    finished: bool = False

    def __post_init__(self) -> None:
        self.input: ModelInput = next(self.row.coroutine)
        self.n, self.terms = self.row.n, len(self.row.conditioning.terms)
        self.key: Hashable = (tuple(self.input.x.shape), tuple(self.row.conditioning.context.shape))

    def advance(self, prediction: Prediction) -> None:
        """Send the answer in: the next question, or the end. What goes wrong in a sampler is this row's error."""
        try:
            if self.row.correct is not None:
                prediction = self.row.correct(self.input, prediction)
            self.i, self.t, self.latent = self.input.step + 1, float(self.input.t), prediction.x0
            (found,) = advance([self.row.coroutine], [prediction])
        except Exception as error:
            self.error = error
            return
        if isinstance(found, Tensor):
            self.latent, self.finished = found, True
        else:
            self.input = found


class PipelineModel:
    """app.engine.rows.Model on a pipeline."""

    def __init__(self, pipe: Pipeline) -> None:
        self.pipe = pipe

    def prepare(self, job: Job) -> list[PipelineRow]:
        """A row for each picture of the job."""
        rows = self.pipe.prepare(job.request, job.init_image, job.mask)
        side = self.pipe.config.image_size
        height, width = job.request.height or side, job.request.width or side
        if job.init_image is not None:
            height, width = job.init_image.shape[:2]
        return [PipelineRow(job, k, row, height * width) for k, row in enumerate(rows)]

    def answer(self, rows: Sequence[PipelineRow]) -> None:
        """One network call, then each row alone."""
        with memory_guard("denoising"):
            predictions = self.pipe.denoise([row.input for row in rows], [row.row.conditioning for row in rows])
        for row, prediction in zip(rows, predictions, strict=True):
            row.advance(prediction)

    def decode(self, rows: Sequence[PipelineRow]) -> list[Pixels]:
        """Final latents as pictures; where a mask keeps a pixel, it is the original's."""
        made = self.pipe.decode(_latents(rows))
        return [paste_kept(made[k : k + 1], row.job.init_image, row.job.mask)[0] for k, row in enumerate(rows)]

    def preview(self, rows: Sequence[PipelineRow]) -> list[Pixels]:
        """Estimates as small pictures."""
        return list(self.pipe.preview(_latents(rows)))


def _latents(rows: Sequence[PipelineRow]) -> Tensor:
    return torch.stack([row.latent for row in rows if row.latent is not None])
