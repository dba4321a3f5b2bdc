"""Weights into memory: the page's own model at the start, a folder's when the pool asks for one."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from app.engine import sentence
from app.i18n import Sentence
from app.models.folder import ModelFile, ModelFolder, read_file, without_folder
from app.models.pool import Progress
from app.settings import Settings
from ldm_core.sampling import Limits

if TYPE_CHECKING:
    from app.engine.model import PipelineModel
    from ldm_core.pipeline import Pipeline

log = logging.getLogger(__name__)
HEAD_START_SECONDS = 2.0


@dataclass(frozen=True)
class State:
    """Where the page's own model is on its way to readiness; progress lies in [0, 1]."""

    phase: Literal["starting", "loading", "ready", "failed"]
    message: Sentence
    model: str = ""
    device: str = ""
    dtype: str = ""
    progress: float = 0.0
    runtime: str = ""


class Loader:
    """Loads models as the settings say, and knows how far the page's own is. Importing torch is left to its thread."""

    def __init__(self, settings: Settings, models: ModelFolder, operator: Limits) -> None:
        """`operator` is what whoever runs the server allows."""
        self._settings, self._models, self._operator = settings, models, operator
        self._itemsize = 0  # bytes of memory a parameter takes
        self._own: PipelineModel | None = None
        self.state = State("starting", Sentence("at_start"))
        self.pipe: Pipeline | None = None  # of the page's own model, once pictures can be made
        self._imported, self._settled = threading.Event(), threading.Event()

    def give_head_start(self) -> None:
        """Return when torch is imported and a small model is loaded, or a large one has begun: two imports at once take
        turns at Python's lock, and the first picture would wait for both.
        """
        self._imported.wait()
        self._settled.wait(HEAD_START_SECONDS)

    def load_own(self) -> PipelineModel:
        """The page's own model, whose size and limits `models` then knows. Raises what is wrong with its file."""
        s, name = self._settings, self._models.own.name
        self.state = State("loading", Sentence("at_import"), name, progress=0.1)
        try:
            import ldm_core.pipeline  # the slow import, seconds
        finally:
            self._imported.set()
        self.state = State("loading", Sentence("at_reading", {"file": s.weights.name}), name, progress=0.6)
        pipe = ldm_core.pipeline.load(s.weights, s.device, s.dtype, s.runtime, s.threads)
        if s.max_side < pipe.config.image_size:
            raise ValueError(f"max_side is {s.max_side}, but {name} makes pictures of {pipe.config.image_size} pixels")
        self._itemsize = pipe.dtype.itemsize * (2 if s.runtime != "torch" and pipe.device.type == "cpu" else 1)
        size = self._itemsize * pipe.parameters  # asking the modules would bring them back into memory
        limits = self._operator.within(pipe.config)
        self._models.own = replace(self._models.own, sha256=pipe.weights_sha256, bytes=size, limits=limits)
        self._own = self._model(pipe, s.weights, self._tell_runtime)
        return self._own

    def ready(self) -> None:
        """Say that the page's own model can be asked from now on."""
        assert self._own is not None
        pipe = self.pipe = self._own.pipe
        name, dtype = self._models.own.name, str(pipe.dtype).removeprefix("torch.")
        self.state = State("ready", Sentence("state_ready"), name, str(pipe.device), dtype, 1.0, pipe.runtime)
        self._settled.set()

    def failed(self, error: Exception) -> None:
        """Say why the page's own model cannot be had."""
        log.error("loading %s failed", self._settings.weights, exc_info=error)
        self.state = State("failed", _fault(error, self._settings.weights), self._models.own.name)
        self._settled.set()

    def scan(self, room: int) -> None:
        """Look at the folder of models; `room` bytes of memory are there for one of them."""
        if (folder := self._settings.models) is not None:
            self._models.scan(folder, lambda path: read_file(path, self._operator, room, self._itemsize))

    def load_other(self, file: ModelFile, progress: Progress) -> PipelineModel:
        """A model of the folder; in a thread of the pool's."""
        from ldm_core.pipeline import load

        s = self._settings
        told = lambda done, size: progress(done / max(1, size))  # noqa: E731
        pipe = load(file.path, s.device, s.dtype, s.runtime, s.threads, progress=told)
        if pipe.weights_sha256 != file.sha256:
            raise ValueError(f"{file.name} has changed since the server looked at it")
        return self._model(pipe, file.path, lambda pipe: None)

    def close(self) -> None:
        """Give up what is being made for the page's own model."""
        if self._own is not None:
            self._own.close()

    def _model(self, pipe: Pipeline, weights: Path, changed: Callable[[Pipeline], None]) -> PipelineModel:
        """The pipeline as the engine asks it; a faster runtime is made for it meanwhile, where there is one."""
        from app.engine.graphs import GraphMaker
        from app.engine.model import PipelineModel
        from ldm_core.runtime.choose import Candidate

        model = PipelineModel(pipe, changed)
        if self._settings.runtime == "auto" and pipe.runtime == "torch":
            candidate = Candidate(pipe.model, weights, pipe.weights_sha256, self._settings.threads)
            model.graphs = GraphMaker()
            model.graphs.start(pipe, candidate, model.use)
        return model

    def _tell_runtime(self, pipe: Pipeline) -> None:
        """The next pictures are made by this pipeline."""
        self.pipe = pipe
        self.state = replace(self.state, runtime=pipe.runtime)


def _fault(error: Exception, weights: Path) -> Sentence:
    """What the page and /readyz say."""
    if isinstance(error, OSError) and error.filename is not None:
        return Sentence("as_said", {"text": f"{error.strerror}: {Path(error.filename).name}."})
    said = sentence(error, "not_readable")
    if "text" in said.values:
        return Sentence(said.key, {"text": without_folder(said.values["text"], weights)})
    return said
