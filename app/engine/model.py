"""A loaded pipeline as the engine asks it: rows in, rows further on."""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from app.engine.job import Job
from app.engine.rows import StartedAgain
from ldm_core.devices import is_lost, memory_guard
from ldm_core.diffusion.gaussian import Prediction
from ldm_core.diffusion.sample_loop import Row
from ldm_core.images import Pixels, paste_kept
from ldm_core.pipeline import Pipeline
from ldm_core.runtime.base import RuntimeFailed

if TYPE_CHECKING:
    from app.engine.graphs import GraphMaker

log = logging.getLogger(__name__)


@dataclass(eq=False)
class PipelineRow:
    """One picture's row in the engine (app.engine.rows.Row)."""

    job: Job
    index: int
    row: Row
    pixels: int
    pipe: Pipeline  # whose runtime makes this picture, from its first step to its decode
    i: int = 0
    t: float = 0.0
    error: Exception | None = None
    x0: Tensor | None = None  # the last estimate, fp32 [C,h,w]

    def __post_init__(self) -> None:
        self.n, self.terms = self.row.n, len(self.row.conditioning.terms)
        shapes = tuple(self.row.input.x.shape), tuple(self.row.conditioning.context.shape)
        self.key: Hashable = (self.pipe.weights_sha256, *shapes, self.pipe.runtime)

    @property
    def finished(self) -> bool:
        """The final latent is there."""
        return self.row.latent is not None

    @property
    def latent(self) -> Tensor | None:
        """fp32 [C,h,w]: x0's estimate on the way, at the end the result; None before the first call."""
        return self.x0 if self.row.latent is None else self.row.latent

    def start_again(self, other: PipelineRow) -> None:
        """Be at the beginning of the same picture again, as `other` is."""
        self.row, self.pipe, self.key = other.row, other.pipe, other.key
        self.i, self.t, self.x0 = 0, 0.0, None

    def advance(self, prediction: Prediction) -> None:
        """On to the next input, or to the end. What goes wrong in a sampler is this row's error."""
        try:
            prediction = self.row.corrected(prediction)
            self.i, self.t, self.x0 = self.row.input.step + 1, float(self.row.input.t), prediction.x0
            self.row.send(prediction)
        except Exception as error:
            self.error = error


class PipelineModel:
    """app.engine.rows.Model on a pipeline, which may be changed for the same model on another runtime."""

    def __init__(self, pipe: Pipeline, changed: Callable[[Pipeline], None] = lambda pipe: None) -> None:
        """`changed` is told of a new pipeline, in whatever thread it came."""
        self.pipe = pipe
        self._changed = changed
        self.graphs: GraphMaker | None = None  # what makes a faster runtime for it

    def close(self) -> None:
        """Give up what is still being made for it."""
        if self.graphs is not None:
            self.graphs.close()

    def use(self, pipe: Pipeline) -> None:
        """Make the next pictures with this pipeline; those under way are finished by theirs."""
        self.pipe = pipe
        if pipe.runtime != "torch":
            pipe.release()
        self._changed(pipe)

    def prepare(self, job: Job) -> list[PipelineRow]:
        """A row for each picture of the job."""
        pipe = self.pipe
        try:
            rows = pipe.prepare(job.request, job.init_image, job.mask)
        except RuntimeFailed as fault:
            self._fall_back(pipe, fault)
            return self.prepare(job)
        side = pipe.config.image_size
        height, width = job.request.height or side, job.request.width or side
        if job.init_image is not None:
            height, width = job.init_image.shape[:2]
        job.runtime = pipe.runtime
        return [PipelineRow(job, k, row, height * width, pipe) for k, row in enumerate(rows)]

    def answer(self, rows: Sequence[PipelineRow]) -> None:
        """One network call, then each row alone."""
        with self._restarting(rows) as pipe, memory_guard("denoising"):
            predictions = pipe.denoise([row.row.input for row in rows], [row.row.conditioning for row in rows])
        for row, prediction in zip(rows, predictions, strict=True):
            row.advance(prediction)

    def decode(self, rows: Sequence[PipelineRow]) -> list[Pixels]:
        """Final latents as pictures; where a mask keeps a pixel, it is the original's."""
        with self._restarting(rows) as pipe:
            made = pipe.decode(_latents(rows))
        return [paste_kept(made[k : k + 1], row.job.init_image, row.job.mask)[0] for k, row in enumerate(rows)]

    def preview(self, rows: Sequence[PipelineRow]) -> list[Pixels]:
        """Estimates as small pictures."""
        return list(rows[0].pipe.preview(_latents(rows)))

    def is_lost(self, error: Exception) -> bool:
        """Whether the GPU is lost."""
        return is_lost(error, self.pipe.device)

    @contextmanager
    def _restarting(self, rows: Sequence[PipelineRow]) -> Iterator[Pipeline]:
        """The rows' pipeline; where its runtime breaks they start again on torch, and StartedAgain is raised."""
        pipe = rows[0].pipe  # rows of one key share it
        try:
            yield pipe
        except RuntimeFailed as fault:
            self._fall_back(pipe, fault)
            for row in rows:
                row.start_again(self.prepare(row.job)[row.index])
            raise StartedAgain from fault

    def _fall_back(self, broken: Pipeline, fault: RuntimeFailed) -> None:
        if self.pipe is broken:
            log.warning("%s; torch makes the pictures from now on", fault)
            self.use(broken.with_runtime())


def _latents(rows: Sequence[PipelineRow]) -> Tensor:
    return torch.stack([row.latent for row in rows if row.latent is not None])
