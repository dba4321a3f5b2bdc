"""The models beside the page's own: a folder of weights files, known by content, in memory while they are asked for.

The page's own model (`--weights`) is always in memory, since labs and the prompt line ask it at any time. The others
share what `--model-bytes` leaves: a model is counted before it is loaded, and the one used least recently makes room.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.engine import Job, sentence
from app.schemas import RequestError
from ldm_core.sampling import Limits
from ldm_core.text.knowledge import Knowledge

if TYPE_CHECKING:
    from ldm_core.text.tokenizer import Tokenizer

log = logging.getLogger(__name__)
SUFFIXES = (".safetensors", ".ckpt", ".pt", ".pth", ".bin")
HASH = 10  # digits of a sha256 by which other programs name a model
BILLION = 10**9
Progress = Callable[[float], None]
"""How far a load is, 0…1; called in its thread, and raises LoadingStopped where nobody waits any more."""


@dataclass(frozen=True, eq=False)
class ModelFile:
    """A weights file or diffusers folder; `bytes` of memory while loaded; `fault` says why it cannot be used."""

    name: str
    path: Path
    sha256: str = ""
    bytes: int = 0
    limits: Limits = field(default_factory=Limits)
    fault: str = ""
    vocabulary: tuple[Path, int] | None = None  # folder of the tokenizer, tokens of a prompt

    @property
    def title(self) -> str:
        """The name as A1111's clients show it."""
        return f"{self.name} [{self.sha256[:HASH]}]" if self.sha256 else self.name

    @property
    def names(self) -> tuple[str, ...]:
        """What a request may call it."""
        return self.name, self.title, self.path.name, self.sha256, self.sha256[:HASH]

    @cached_property
    def knowledge(self) -> Knowledge | None:
        """What it knows, from the file beside it; None for an open vocabulary."""
        return Knowledge.beside(self.path)

    @cached_property
    def tokenizer(self) -> Tokenizer | None:
        """Its tokenizer, which needs no weights; None where it follows no prompt."""
        from ldm_core.text.tokenizer import Tokenizer

        return Tokenizer.load(*self.vocabulary) if self.vocabulary is not None else None


class NotReady(RequestError):
    """The model is not loaded or not looked at yet, or could not be."""


class ModelFolder:
    """The page's own model and those of a folder. Read in any thread; `scan` in one."""

    def __init__(self, own: Path, limits: Limits, scanned: bool = True) -> None:
        """`limits` of the page's own until it is loaded: the operator's. `scanned`: there is no folder to look at."""
        self.own = ModelFile(own.stem, own, limits=limits)
        self.scanned = scanned  # whether every model there is has been found
        self._others: list[ModelFile] = []

    def __iter__(self) -> Any:
        return iter([self.own, *self._others])

    @property
    def usable(self) -> list[ModelFile]:
        """Those that pictures can be made with."""
        return [file for file in self if not file.fault]

    def find(self, name: str) -> ModelFile:
        """By name, title, file name, sha256 or its first digits; "" is the page's own. RequestError where none is,
        NotReady while it may yet be found.
        """
        scanned = self.scanned  # before looking
        found = next((file for file in self if name in file.names or name == ""), None)
        if found is None and not scanned:
            raise NotReady("still_loading")
        if found is None:
            raise RequestError("no_model", name=repr(name[:100]))
        if found.fault:
            raise RequestError("model_broken", name=found.name, reason=found.fault)
        return found

    def scan(self, folder: Path, read: Callable[[Path], ModelFile]) -> None:
        """Look at what lies in `folder`, file by file; content that is there already is not listed again."""
        try:
            self._scan(folder, read)
        finally:
            self.scanned = True

    def _scan(self, folder: Path, read: Callable[[Path], ModelFile]) -> None:
        for path in sorted(folder.iterdir()):
            if path.name.startswith(".") or not looks_like_weights(path):
                continue
            file = read(path)
            if file.sha256 and any(file.sha256 == known.sha256 for known in self):
                log.info("%s is a copy of a model that is there already", path.name)
                continue
            if any(file.name == known.name for known in self):
                file = replace(file, name=path.name)
            if file.fault:
                log.warning("%s cannot be used: %s", path.name, file.fault)
            self._others = [*self._others, file]


def looks_like_weights(path: Path) -> bool:
    """Whether a file is or was meant to be a model: knowledge, licences and notes lie beside them."""
    from ldm_core.checkpoint import CheckpointError
    from ldm_core.checkpoint.files import judge

    if path.is_dir():
        return (path / "model_index.json").is_file()
    try:
        return bool(judge(path))
    except CheckpointError:
        return path.suffix.lower() in SUFFIXES  # it is listed, and why it cannot be used


def read_file(path: Path, operator: Limits, most: int, itemsize: float) -> ModelFile:
    """What lies at `path`, not loaded; `most` bytes of memory are there for it, `itemsize` of them a parameter."""
    from ldm_core.checkpoint import CheckpointError, inspect_file, require_tokenizer

    name = path.stem if path.is_file() else path.name
    try:
        seen = inspect_file(path)
        if not seen.loads:
            return ModelFile(name, path, seen.sha256, fault=seen.fit)
        config, text = seen.config, seen.config.text
        vocabulary = (require_tokenizer(path, config), text.text_len) if text is not None else None
    except CheckpointError as error:
        return ModelFile(name, path, fault=str(error))
    except OSError as error:
        return ModelFile(name, path, fault=error.strerror or type(error).__name__)
    size = int(sum(seen.parameters.values()) * itemsize)
    fault = ""
    if operator.max_side < config.image_size:
        fault = f"it makes pictures of {config.image_size} pixels, and --max-side is {operator.max_side}"
    elif size > most:
        fault = f"it needs {size / BILLION:.2g} GB of memory, and --model-bytes leaves {most / BILLION:.2g}"
    return ModelFile(name, path, seen.sha256, size, operator.for_model(config), fault, vocabulary)


class LoadingStopped(Exception):
    """Nobody waits for the model any more."""


@dataclass(eq=False)
class _InMemory:
    file: ModelFile
    model: Any  # an app.engine.rows.Model that can be closed
    since: float = field(default_factory=time.monotonic)  # when its turn began


@dataclass(eq=False)
class _Loading:
    file: ModelFile
    progress: float = 0.0


class ModelPool:
    """The models in memory beside the page's own, and the one that is being loaded. One loads at a time.

    A model that has to make room first serves its queue: the jobs that were there when its turn began, and those that
    came before the first one of the model that waits. What comes for it later waits for its next turn. So models that
    alternate request by request are loaded queue by queue, and none waits for ever.
    """

    def __init__(
        self,
        find: Callable[[str], ModelFile],
        load: Callable[[ModelFile, Progress], Any],
        changed: Callable[[], None],
    ) -> None:
        """`load` builds one in a thread; `changed` is told when there is news."""
        self.room = 0  # bytes for all of them
        self._find, self._load, self._changed = find, load, changed
        self._loaded: dict[str, _InMemory] = {}  # by sha256, the one used least recently first
        self._loading: _Loading | None = None
        self._failed: dict[str, Exception] = {}
        self._wanted: set[str] = set()
        self._lock = threading.Lock()

    def model(self, sha256: str) -> Any:
        """A model that is in memory, used now."""
        with self._lock:
            self._loaded[sha256] = self._loaded.pop(sha256)
            return self._loaded[sha256].model

    @property
    def loaded(self) -> list[str]:
        """The names of those in memory, the one used least recently first."""
        with self._lock:
            return [loaded.file.name for loaded in self._loaded.values()]

    def progress(self, sha256: str) -> tuple[str, float] | None:
        """Name and share of a model that is being loaded; None of any other."""
        loading = self._loading
        return (loading.file.name, loading.progress) if loading is not None and loading.file.sha256 == sha256 else None

    def fault(self, sha256: str) -> Exception | None:
        """Why a model could not be loaded, once: whoever asks again has it tried again."""
        with self._lock:
            return self._failed.pop(sha256, None)

    def admit(self, waiting: Sequence[Job], busy: Collection[str]) -> Callable[[Job], bool]:
        """Which of the waiting jobs may start; `busy` models have running ones. To be asked again and again.

        Begins to load what is missing, and gives up what nobody waits for.
        """
        with self._lock:
            self._wanted = {job.model for job in waiting}
            missing = [job for job in waiting if job.model not in ("", *self._loaded) and not self._awaited(job.model)]
            first = min(missing, key=lambda job: job.created, default=None)
            until = {} if first is None or self._loading else self._make_room(first, waiting, busy)
            here = set(self._loaded)
        return lambda job: not job.model or (job.model in here and job.created <= until.get(job.model, math.inf))

    def close(self) -> None:
        """Give up what is being loaded, let go of the rest."""
        with self._lock:
            self._wanted = set()
            for loaded in self._loaded.values():
                loaded.model.close()
            self._loaded.clear()

    def _awaited(self, sha256: str) -> bool:
        """Whether a model that is not known may yet be found in the folder."""
        try:
            self._find(sha256)
        except RequestError as error:
            return isinstance(error, NotReady)
        return False

    def _make_room(self, first: Job, waiting: Sequence[Job], busy: Collection[str]) -> dict[str, float]:
        """Begin to load the first missing model; or the models that serve their queues before there is room for it,
        each with the time.monotonic() up to which jobs belong to its queue.
        """
        try:
            file = self._find(first.model)
        except RequestError as error:
            self._failed[first.model] = error
            return {}
        until = {sha256: max(first.created, loaded.since) for sha256, loaded in self._loaded.items()}
        due = {*busy, *(job.model for job in waiting if job.created <= until.get(job.model, 0.0))}
        free = self.room - sum(loaded.file.bytes for loaded in self._loaded.values())
        leaving: list[str] = []
        for sha256 in sorted(self._loaded, key=lambda sha256: sha256 in due):  # sorted keeps the order of use
            if free >= file.bytes:
                break
            leaving.append(sha256)
            free += self._loaded[sha256].file.bytes
        if due & set(leaving):
            return {sha256: until[sha256] for sha256 in leaving}
        for sha256 in leaving:
            left = self._loaded.pop(sha256)
            left.model.close()
            log.info("%s leaves the memory for %s", left.file.name, file.name)
        self._loading = _Loading(file)
        threading.Thread(target=self._run, args=(self._loading,), name="load-model", daemon=True).start()
        return {}

    def _run(self, loading: _Loading) -> None:
        sha256 = loading.file.sha256

        def progress(share: float) -> None:
            loading.progress = share
            if sha256 not in self._wanted:
                raise LoadingStopped

        model, fault = None, None
        try:
            model = self._load(loading.file, progress)
        except LoadingStopped:
            log.info("nobody waits for %s any more", loading.file.name)
        except Exception as error:
            log.warning("%s could not be loaded: %s", loading.file.name, sentence(error, "not_readable"))
            fault = error
        with self._lock:
            self._loading = None
            if model is not None:
                self._loaded[sha256] = _InMemory(loading.file, model)
            elif fault is not None:
                self._failed[sha256] = fault
        self._changed()
