"""A loaded pipeline as the engine asks it: rows in, rows further on."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from app.engine.job import Job
from ldm_core.devices import memory_guard
from ldm_core.diffusion.denoiser import Conditioning, ModelInput, Prediction
from ldm_core.diffusion.samplers import SamplerCoroutine
from ldm_core.images import Pixels
from ldm_core.pipeline import Pipeline, paste_kept


@dataclass(eq=False)
class PipelineRow:
    """One picture's sampler and the question it asks (app.engine.rows.Row)."""

    job: Job
    index: int
    n: int
    coroutine: SamplerCoroutine
    conditioning: Conditioning
    correct: Callable[[ModelInput, Prediction], Prediction] | None
    pixels: int
    i: int = 0
    t: float = 0.0
    error: Exception | None = None
    latent: Tensor | None = None  # fp32 [C,h,w]: x0's estimate on the way, at the end the result
    finished: bool = False

    def __post_init__(self) -> None:
        self.input: ModelInput = next(self.coroutine)
        self.terms = len(self.conditioning.terms)
        self.key: Hashable = (tuple(self.input.x.shape), tuple(self.conditioning.context.shape))

    def advance(self, prediction: Prediction) -> None:
        """Send the answer in: the next question, or the end. What goes wrong in a sampler is this row's error."""
        try:
            if self.correct is not None:
                prediction = self.correct(self.input, prediction)
            self.i, self.t, self.latent = self.input.step + 1, float(self.input.t), prediction.x0
            self.input = self.coroutine.send(prediction)
        except StopIteration as end:
            self.latent, self.finished = end.value, True
        except Exception as error:
            self.error = error


class PipelineModel:
    """app.engine.rows.Model on a pipeline."""

    def __init__(self, pipe: Pipeline) -> None:
        self.pipe = pipe

    def prepare(self, job: Job) -> list[PipelineRow]:
        """A row for each picture of the job."""
        r, pipe = job.request, self.pipe
        height, width = (r.height, r.width) if job.init_image is None else job.init_image.shape[:2]
        side = pipe.config.image_size
        pipe.check(r.steps, r.eta, r.guidance_scale, r.sampler, r.batch, r.strength, job.init_image, job.mask)
        shape = pipe.config.latent_shape(height, width)
        conditioning = pipe.condition(r.prompt, r.negative_prompt, r.guidance_scale)
        grid = pipe.model.schedule.grid("uniform", r.steps, r.eta)
        z0 = None if job.init_image is None else pipe.encode_image(job.init_image)
        if z0 is not None:
            grid = grid.tail(max(1, min(r.steps, int(r.steps * r.strength))))
        rows = []
        for k in range(r.batch):
            coroutine, correct = pipe._start(r.sampler, grid, shape, r.seed + k, z0, job.mask)
            pixels = (height or side) * (width or side)
            rows.append(PipelineRow(job, k, len(grid), coroutine, conditioning, correct, pixels))
        return rows

    def answer(self, rows: Sequence[PipelineRow]) -> None:
        """One network call, then each row alone."""
        with memory_guard("denoising"):
            predictions = self.pipe.denoise([row.input for row in rows], [row.conditioning for row in rows])
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
