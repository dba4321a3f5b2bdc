"""The models in memory: the page's own, and others while they are asked for.

The page's own model (`--weights`) is always in memory, since labs and the prompt line ask it at any time. The others
share what `--model-bytes` leaves: a model is counted before it is loaded, and the one used least recently makes room.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from app.engine import Job, sentence
from app.models.folder import ModelFile, NotReady
from app.schemas import RequestError

log = logging.getLogger(__name__)
Progress = Callable[[float], None]
"""How far a load is, 0…1; called in its thread, and raises LoadingStopped where nobody waits any more."""


class LoadingStopped(Exception):
    """Nobody waits for the model any more."""


@dataclass(frozen=True)
class Load:
    """Load a model; these (sha256) leave the memory for it."""

    file: ModelFile
    leaving: tuple[str, ...]


@dataclass(frozen=True)
class Drain:
    """No room before these models (sha256) have served their queues: jobs that came up to this time.monotonic()."""

    until: Mapping[str, float]


@dataclass(frozen=True)
class Fault:
    """There is no such model."""

    error: Exception


Plan = Load | Drain | Fault


@dataclass(eq=False)
class InMemory:
    """A model that can be asked."""

    file: ModelFile
    model: Any  # an app.engine.rows.Model that can be closed
    since: float = field(default_factory=time.monotonic)  # when its turn began


@dataclass(eq=False)
class _Loading:
    file: ModelFile
    progress: float = 0.0


class ModelPool:
    """The models in memory by sha256, "" the page's own, and the one that is being loaded. One loads at a time.

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
        self.own: Any = None  # the page's own model, which never leaves
        self.room = 0  # bytes for all others
        self._find, self._load, self._changed = find, load, changed
        self._loaded: dict[str, InMemory] = {}  # by sha256, the one used least recently first
        self._loading: _Loading | None = None
        self._failed: dict[str, Exception] = {}
        self._wanted: set[str] = set()
        self._closed = False
        self._lock = threading.Lock()

    def model(self, sha256: str) -> Any:
        """A model that is in memory, used now."""
        if not sha256:
            return self.own
        with self._lock:
            self._loaded[sha256] = self._loaded.pop(sha256)
            return self._loaded[sha256].model

    @property
    def loaded(self) -> list[str]:
        """The names of those in memory beside the page's own, the one used least recently first."""
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
            self._failed = {model: fault for model, fault in self._failed.items() if model in self._wanted}
            here = {"", *self._loaded}
            missing = [job for job in waiting if job.model not in here and not self._awaited(job.model)]
            first = min(missing, key=lambda job: job.created, default=None)
            until: Mapping[str, float] = {}
            if first is not None and self._loading is None:
                match self.plan(first, waiting, busy):
                    case Load(file, leaving):
                        self._begin(file, leaving)
                    case Drain(serving):
                        until = serving
                    case Fault(error):
                        self._failed[first.model] = error
            here = {"", *self._loaded}
        return lambda job: job.model in here and job.created <= until.get(job.model, math.inf)

    def close(self) -> None:
        """Give up what is being loaded, let go of the rest."""
        with self._lock:
            self._closed, self._wanted = True, set()
            leaving = list(self._loaded.values())
            self._loaded.clear()
        for loaded in leaving:
            loaded.model.close()

    def _awaited(self, sha256: str) -> bool:
        """Whether a model that is not known may yet be found in the folder."""
        try:
            self._find(sha256)
        except RequestError as error:
            return isinstance(error, NotReady)
        return False

    def plan(self, first: Job, waiting: Sequence[Job], busy: Collection[str]) -> Plan:
        """What gives the first job whose model is missing its model. Changes nothing; the lock is held."""
        try:
            file = self._find(first.model)
        except RequestError as error:
            return Fault(error)
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
            return Drain({sha256: until[sha256] for sha256 in leaving})
        return Load(file, tuple(leaving))

    def _begin(self, file: ModelFile, leaving: Sequence[str]) -> None:
        self._loading = _Loading(file)
        args = self._loading, [self._loaded.pop(sha256) for sha256 in leaving]
        threading.Thread(target=self._run, args=args, name="load-model", daemon=True).start()

    def _run(self, loading: _Loading, leaving: list[InMemory]) -> None:
        sha256 = loading.file.sha256

        def progress(share: float) -> None:
            loading.progress = share
            if sha256 not in self._wanted:
                raise LoadingStopped

        model, fault = None, None
        while leaving:  # here, since closing may wait; and nothing holds a model any more while the next is loaded
            left = leaving.pop()
            left.model.close()
            log.info("%s leaves the memory for %s", left.file.name, loading.file.name)
            del left
        try:
            model = self._load(loading.file, progress)
        except LoadingStopped:
            log.info("nobody waits for %s any more", loading.file.name)
        except Exception as error:
            log.warning("%s could not be loaded: %s", loading.file.name, sentence(error, "not_readable"))
            fault = error
        with self._lock:
            self._loading = None
            if model is not None and not self._closed:
                self._loaded[sha256] = InMemory(loading.file, model)
                model = None
            elif fault is not None and sha256 in self._wanted:  # else the next who asks has it tried again
                self._failed[sha256] = fault
        if model is not None:  # the end has come meanwhile
            model.close()
        self._changed()
