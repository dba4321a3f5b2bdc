"""Who is in memory and whose turn it is: the pool in an engine, with made-up models."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest

from app.engine import Cancelled, Done, Engine, Failed, Job, Loading, Requester
from app.models.folder import ModelFile
from app.models.pool import Drain, Fault, InMemory, Load, ModelPool, Plan, Progress
from app.schemas import RequestError
from ldm_core.sampling import SamplingParams
from tests.app.engine.fake import FakeKeeper, FakeModel
from tests.app.serving import until

SIZE = 100  # bytes of a made-up model
FILES = {name: ModelFile(name, Path(name), name, SIZE) for name in "abc"}


class Loader:
    """Loads made-up models; what is called "slow" waits for its gate, "broken" fails."""

    def __init__(self) -> None:
        self.gate = threading.Event()  # what closing the one called "stays" waits for, too
        self.loads: list[str] = []
        self.stopped: list[str] = []
        self.closed: list[str] = []

    def __call__(self, file: ModelFile, progress: Progress) -> Any:
        self.loads.append(file.name)
        try:
            for share in np.linspace(0, 1, 5):
                progress(float(share))
            while file.name == "slow" and not self.gate.wait(0.01):
                progress(1.0)
        except Exception:
            self.stopped.append(file.name)
            raise
        if file.name == "broken":
            raise ValueError("its weights are damaged")
        model = FakeModel()
        model.close = lambda: self._close(file.name)  # type: ignore[attr-defined]
        return model

    def _close(self, name: str) -> None:
        if name == "stays":
            self.gate.wait(60)
        self.closed.append(name)


class Pooled:
    """An engine with room for two models beside its own."""

    def __init__(self) -> None:
        self.made: list[str] = []
        self.loader, self.own = Loader(), FakeModel()
        self.engine = Engine(FakeKeeper(self._save))
        self.pool = ModelPool(lambda name: ModelFile(name, Path(name), name, SIZE), self.loader, self.engine.wake)
        self.pool.room = 2 * SIZE

    def _save(self, job: Job, *_: Any) -> str:
        self.made.append(job.model)
        return job.model

    def start(self) -> None:
        self.pool.own = self.own
        self.engine.start(self.pool)

    def ask(self, model: str, prompt: str = "draw", client: str = "me", steps: int = 2) -> Job:
        return self.engine.submit(Job(SamplingParams(prompt, steps=steps), model=model, requester=Requester(client)))


@pytest.fixture
def pooled() -> Iterator[Pooled]:
    pooled = Pooled()
    yield pooled
    pooled.loader.gate.set()
    pooled.own.gate.set()
    pooled.engine.close()
    pooled.pool.close()


@pytest.mark.parametrize(
    ("room", "busy", "waiting", "plan"),
    [
        (3, "", "", Load(FILES["c"], ())),
        (2, "", "", Load(FILES["c"], ("a",))),  # used least recently
        (2, "a", "", Load(FILES["c"], ("b",))),
        (2, "", "a", Load(FILES["c"], ("b",))),
        (2, "ab", "", Drain({"a": 5.0})),
        (1, "b", "", Drain({"a": 5.0, "b": 7.0})),  # b's turn began after c was asked for
        (1, "", "", Load(FILES["c"], ("a", "b"))),
    ],
)
def test_what_makes_room_for_a_model(room: int, busy: str, waiting: str, plan: Plan) -> None:
    pool = ModelPool(FILES.__getitem__, Loader(), lambda: None)
    pool.room = room * SIZE
    pool._loaded = {name: InMemory(FILES[name], None, since) for name, since in (("a", 1.0), ("b", 7.0))}
    first = Job(SamplingParams("draw"), model="c", created=5.0)
    others = [Job(SamplingParams("draw"), model=name, created=4.0) for name in waiting]
    later = Job(SamplingParams("draw"), model="a", created=6.0)  # keeps nothing in memory
    assert pool.plan(first, [*others, first, later], set(busy)) == plan


def test_a_model_that_is_not_there_is_the_plan_s_fault() -> None:
    def find(name: str) -> ModelFile:
        raise error

    error = RequestError("as_said", text="there is no such model")
    pool = ModelPool(find, Loader(), lambda: None)
    assert pool.plan(Job(SamplingParams("draw"), model="c"), [], []) == Fault(error)


def test_the_one_used_least_recently_leaves(pooled: Pooled) -> None:
    pooled.start()
    for name in ("a", "b", "a", "", "c"):
        assert pooled.ask(name).wait() == Done(name)
    assert pooled.loader.loads == ["a", "b", "c"], "a model in memory is not loaded again"
    assert pooled.loader.closed == ["b"] and pooled.pool.loaded == ["a", "c"]


def test_a_model_that_comes_after_the_end_is_closed() -> None:
    gate, model = threading.Event(), Mock()

    def load(file: ModelFile, progress: Progress) -> Mock:
        gate.wait(60)
        return model

    pool = ModelPool(lambda name: ModelFile(name, Path(name), name, SIZE), load, lambda: None)
    pool.room = SIZE
    pool.admit([Job(SamplingParams("draw"), model="a")], set())
    pool.close()
    gate.set()
    until(lambda: model.close.called)
    assert pool.loaded == []


def test_a_model_that_is_slow_to_leave_holds_nobody_up_but_who_needs_its_room(pooled: Pooled) -> None:
    pooled.pool.room = SIZE
    pooled.start()
    assert pooled.ask("stays").wait() == Done("stays")
    next_one = pooled.ask("a", client="other")
    until(lambda: pooled.pool.progress("a"))
    start = time.monotonic()
    assert pooled.ask("").wait() == Done("") and time.monotonic() - start < 5
    assert not next_one.done and pooled.loader.loads == ["stays"]
    pooled.loader.gate.set()
    assert next_one.wait() == Done("a") and pooled.loader.closed == ["stays"]


def test_alternating_models_serve_their_queues_before_switching(pooled: Pooled) -> None:
    """Room for one model: eight requests that alternate cost two loads."""
    pooled.pool.room = SIZE
    jobs = [pooled.ask(name, client=name) for name in "abababab"] + [pooled.ask("a", client="last")]
    pooled.start()
    assert all(isinstance(job.wait(), Done) for job in jobs)
    assert pooled.loader.loads == ["a", "b"]
    assert [pooled.made.count(name) for name in "ab"] == [5, 4]


def test_nobody_starves_while_another_model_is_asked_all_the_time(pooled: Pooled) -> None:
    pooled.pool.room = SIZE
    pooled.start()
    pooled.ask("a").wait()
    busy = [pooled.ask("a", steps=200) for _ in range(3)]
    other = pooled.ask("b", client="other")
    later = [pooled.ask("a", client="more", steps=200) for _ in range(20)]
    assert isinstance(other.wait(), Done)
    assert all(job.done for job in busy) and not any(job.done for job in later)
    assert all(isinstance(job.wait(), Done) for job in later)


def test_a_load_is_told_and_does_not_hold_others_up(pooled: Pooled) -> None:
    pooled.start()
    slow = pooled.ask("slow", client="other")
    until(lambda: any(isinstance(event, Loading) for event in slow.events))
    assert pooled.ask("").wait() == Done("") and pooled.ask("").wait() == Done("")
    assert not slow.done
    pooled.loader.gate.set()
    assert slow.wait() == Done("slow")
    shares = [event.progress for event in slow.events if isinstance(event, Loading)]
    assert shares == sorted(set(shares)) and shares[-1] == 1.0
    assert {event.model for event in slow.events if isinstance(event, Loading)} == {"slow"}


def test_a_load_that_nobody_waits_for_is_given_up(pooled: Pooled) -> None:
    pooled.start()
    first, second = pooled.ask("slow"), pooled.ask("slow", client="other")
    until(lambda: pooled.loader.loads)
    pooled.engine.cancel(first.id)
    time.sleep(0.3)
    assert not pooled.loader.stopped, "somebody still waits"
    second.deadline = 0.0  # whoever asked has left
    until(lambda: pooled.loader.stopped)
    assert isinstance(first.wait(), Cancelled) and isinstance(second.wait(), Cancelled)
    assert pooled.pool.loaded == [] and pooled.ask("a").wait() == Done("a")


def test_a_load_that_failed_for_nobody_is_tried_again(pooled: Pooled) -> None:
    fails, begun = threading.Event(), threading.Event()

    def load(file: ModelFile, progress: Progress) -> Any:
        if not fails.is_set():
            begun.set()
            fails.wait(60)
            raise MemoryError
        return real(file, progress)

    real, pooled.pool._load = pooled.pool._load, load
    pooled.start()
    job = pooled.ask("a")
    assert begun.wait(60)
    pooled.engine.cancel(job.id)
    job.wait()
    pooled.engine.wake()
    until(lambda: "a" not in pooled.pool._wanted)
    fails.set()
    until(lambda: pooled.pool._loading is None)
    assert pooled.ask("a").wait() == Done("a")


def test_a_model_that_cannot_be_loaded_fails_its_own_jobs(pooled: Pooled) -> None:
    jobs = [pooled.ask("broken"), pooled.ask("broken", client="other"), pooled.ask("a")]
    pooled.start()
    for job in jobs[:2]:
        end = job.wait()
        assert isinstance(end, Failed) and str(end.message) == "its weights are damaged."
    assert jobs[2].wait() == Done("a")
    pooled.ask("broken").wait()
    assert pooled.engine.metrics.waiting._value.get() == 0, "nobody waits any more"
