"""The models an engine asks: the one of jobs that name none, and those that come into memory and leave it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

from app.engine.job import Job, Loading
from app.engine.rows import Model, Pool


class Models:
    """Which model a job asks, and which waiting jobs may start."""

    def __init__(self, own: Model[Any], pool: Pool | None) -> None:
        self._own, self._pool = own, pool

    def of(self, job: Job) -> Model[Any]:
        """The model of a job that may start or runs."""
        return self._own if self._pool is None or not job.model else self._pool.model(job.model)

    def is_lost(self, error: Exception) -> bool:
        """Whether after this error no model can be asked in this process any more: they share the device."""
        return self._own.is_lost(error)

    def faults(self, waiting: Sequence[Job]) -> dict[str, Exception]:
        """Models that jobs wait for and that could not be loaded, and why; each is told once."""
        if self._pool is None:
            return {}
        found = {name: self._pool.fault(name) for name in {job.model for job in waiting if job.model}}
        return {name: fault for name, fault in found.items() if fault is not None}

    def admit(self, waiting: Sequence[Job], busy: Collection[str]) -> Callable[[Job], bool]:
        """Which jobs may start. Jobs whose model is being loaded are told how far it is, in whole per cent."""
        if self._pool is None:
            return lambda job: True
        may_start = self._pool.admit(waiting, {name for name in busy if name})
        for job in waiting:
            at = self._pool.progress(job.model) if job.model else None
            if at is not None and job.last(Loading) != (told := Loading(at[0], round(at[1], 2))):
                job.emit(told)
        return may_start
