"""What page and HTTP both call: the loaded model, the queue, the files."""

from __future__ import annotations

import logging
import math
import random
import shutil
import threading
import time
from collections import deque
from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from app.engine import POLL_SECONDS, Done, Engine, Failed, Job, Stepped, sentence
from app.i18n import Sentence
from app.metadata import write_png
from app.schemas import MAX_SEED, GeneratedImage, GenerateRequest, GenerateResult, Limits, RequestError, validate
from app.settings import Settings
from ldm_core import __version__
from ldm_core.images import Pixels
from ldm_core.text.prompt_syntax import parse, plain

if TYPE_CHECKING:
    from torch import Tensor

    from ldm_core.pipeline import Pipeline, Run, Step
    from ldm_core.text.tokenizer import TokenCount

log = logging.getLogger(__name__)
PREVIEW_SECONDS = 0.25
T = TypeVar("T")


@dataclass(frozen=True)
class State:
    """Where the service is on its way to readiness; progress lies in [0, 1]."""

    phase: Literal["starting", "loading", "ready", "failed"]
    message: Sentence
    model: str = ""
    device: str = ""
    dtype: str = ""
    progress: float = 0.0


class NotReady(RequestError):
    """The model is not loaded yet, or could not be."""


class Service:
    """One model, one queue."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.outputs = settings.outputs()
        self.state = State("starting", Sentence("at_start"))
        self.pipe: Pipeline | None = None
        self.limits = Limits(
            max_steps=settings.max_steps,
            max_batch=settings.max_batch,
            max_side=settings.max_side,
            max_pixels=settings.max_pixels,
            prompt_chars=settings.max_prompt_chars,
        )
        self._files: deque[Path] = deque()  # oldest first
        self.engine = Engine(self._work, settings.queue_size)

    def start(self) -> None:
        """Load the model in the background; `state` tells how far it is."""
        threading.Thread(target=self._load, name="load", daemon=True).start()

    def _load(self) -> None:
        name = self.settings.weights.stem
        try:
            self.state = State("loading", Sentence("at_import"), name, progress=0.1)
            import ldm_core.pipeline  # the slow import, seconds
            from ldm_core.diffusion.samplers import SAMPLERS

            self.state = State(
                "loading", Sentence("at_reading", {"file": self.settings.weights.name}), name, progress=0.6
            )
            pipe = ldm_core.pipeline.load(self.settings.weights, self.settings.device, self.settings.dtype)
            self.state = State("loading", Sentence("at_first_run"), name, progress=0.9)
            ldm_core.pipeline.finish(pipe.stream("warm-up", steps=1))
            config = pipe.config
            self.limits = replace(
                self.limits,
                max_steps=min(self.settings.max_steps, config.schedule.timesteps),
                size_multiple=config.size_multiple,
                image_size=config.image_size,
                samplers=tuple(SAMPLERS),
            )
            self.pipe = pipe
            dtype = str(pipe.dtype).removeprefix("torch.")
            self.state = State("ready", Sentence("state_ready"), name, str(pipe.device), dtype, 1.0)
        except Exception as error:
            log.exception("loading %s failed", self.settings.weights)
            self.state = State("failed", _fault(error), name)

    def count_tokens(self, text: str) -> TokenCount | None:
        """What the model's tokenizer makes of a prompt, its weights' signs apart; None while the model is loading."""
        pipe = self.pipe
        if pipe is None or pipe.tokenizer is None:
            return None
        return pipe.tokenizer.count(plain(parse(text)))

    def submit(self, request: GenerateRequest, init_image: Pixels | None = None, mask: Pixels | None = None) -> Job:
        """Check a request and put it into the queue; RequestError, QueueFull or NotReady where that cannot be."""
        if self.state.phase == "failed":
            raise NotReady("not_loaded", message=self.state.message)
        if self.pipe is None:
            raise NotReady("still_loading")
        validate(request, self.limits)
        if request.seed == -1:
            request = replace(request, seed=random.randint(0, MAX_SEED - request.batch + 1))
        return self.engine.submit(Job(request, init_image, mask))

    def study(self, work: Callable[[Pipeline], Generator[Stepped, None, Any]], steps: int = 1) -> Job:
        """Queue a lab's question to the model; `work` yields a Stepped a step and returns what Done will carry."""
        pipe = self.pipe
        if pipe is None:
            raise NotReady("still_loading")
        return self.engine.submit(Job(GenerateRequest("", steps=steps), work=lambda job: work(pipe)))

    def ask(self, work: Callable[[Pipeline], Generator[Stepped, None, T]]) -> T:
        """`study` for questions that are answered at once: waits for the answer. RequestError where there is none."""
        job = self.study(work)
        while not job.done:
            time.sleep(POLL_SECONDS / 5)
        end = job.events[-1]
        if isinstance(end, Done):
            answer: T = end.result
            return answer
        raise RequestError("as_said", text=end.message) if isinstance(end, Failed) else RequestError("was_stopped")

    def cancel(self, job_id: str) -> bool:
        """Stop a job at its next step."""
        return self.engine.cancel(job_id)

    def detach(self, job_id: str) -> None:
        """Nobody watches this job any more: it is given up after a while unless somebody comes back."""
        if job := self.engine.get(job_id):
            job.deadline = time.monotonic() + self.settings.detach_seconds

    def attach(self, job_id: str) -> Job | None:
        """Come back to a job."""
        if job := self.engine.get(job_id):
            job.deadline = None
        return job

    def close(self) -> None:
        """End the worker; a temporary folder of pictures goes with it."""
        self.engine.close()
        if self.settings.output_dir is None:
            shutil.rmtree(self.outputs, ignore_errors=True)

    def _work(self, job: Job) -> Generator[Stepped, None, GenerateResult]:
        """The engine's question "how is a job done?": steps out, files at the end."""
        from ldm_core.pipeline import paste_kept

        pipe, r = self.pipe, job.request
        if pipe is None:
            raise NotReady("still_loading")
        start = time.monotonic()
        run = pipe.stream(
            r.prompt, r.negative_prompt, r.steps, r.eta, r.guidance_scale, r.sampler, r.seed, r.batch,
            r.height, r.width, job.init_image, r.strength, job.mask,
        )  # fmt: skip
        latents, last = yield from _watch(pipe, run)
        images = []
        for k in range(r.batch):  # one at a time: the decoder takes far more memory than the steps
            pixels = paste_kept(pipe.decode(latents[k : k + 1]), job.init_image, job.mask)[0]
            path = self.outputs / f"{job.id[:12]}-{r.seed + k}.png"
            write_png(path, pixels, replace(r, seed=r.seed + k), pipe.weights_sha256, __version__)
            images.append(GeneratedImage(path, r.seed + k, pixels.shape[1], pixels.shape[0]))
        self._forget_old([image.path for image in images])
        return GenerateResult(r, tuple(images), time.monotonic() - start, last)

    def _forget_old(self, made: list[Path]) -> None:
        """In a temporary folder only the newest keep_pictures files stay; a folder that was asked for is left alone."""
        self._files.extend(made)
        while self.settings.output_dir is None and len(self._files) > self.settings.keep_pictures:
            self._files.popleft().unlink(missing_ok=True)


def _fault(error: Exception) -> Sentence:
    if isinstance(error, OSError) and error.filename is not None:
        return Sentence("as_said", {"text": f"{error.strerror}: {error.filename}."})
    return sentence(error, "not_readable")


def _watch(pipe: Pipeline, run: Run) -> Generator[Stepped, None, tuple[Tensor, int]]:
    """Pass a run's steps on as events, with time left and now and then a preview, always one of the last step."""
    start, shown, i = time.monotonic(), -math.inf, 0  # the first step is shown at once
    while True:
        try:
            step: Step = next(run)
        except StopIteration as end:
            return end.value, i
        i, now = step.i, time.monotonic()
        preview = None
        if now - shown >= PREVIEW_SECONDS or i == step.n:
            preview, shown = pipe.preview(step.x0[:1])[0], now
        yield Stepped(i, step.n, step.t, (now - start) / i * (step.n - i), preview)
