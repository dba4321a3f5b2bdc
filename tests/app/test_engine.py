"""The queue: order, cancel, one failure at a time, readers that come late."""

import asyncio
import threading
from collections.abc import Generator

import pytest

from app.engine import Cancelled, Done, Engine, Failed, Job, Queued, QueueFull, Started, Stepped, follow
from app.schemas import GenerateRequest, GenerateResult

gate = threading.Event()


def work(job: Job) -> Generator[Stepped, None, GenerateResult]:
    """As many steps as asked; the prompt says what happens."""
    n = job.request.steps
    for i in range(1, n + 1):
        if job.request.prompt == "wait":
            gate.wait(5)
        if job.request.prompt == "fail":
            raise ValueError("this prompt cannot be drawn")
        if job.request.prompt == "crash":
            raise KeyError("internal")
        yield Stepped(i, n, 0.0, 0.0, None)
    return GenerateResult(job.request, (), 0.0, n)


@pytest.fixture
def engine() -> Generator[Engine, None, None]:
    gate.clear()
    engine = Engine(work, queue_size=2)
    yield engine
    gate.set()
    engine.close()


def submit(engine: Engine, prompt: str, steps: int = 3) -> Job:
    return engine.submit(Job(GenerateRequest(prompt, steps=steps)))


def events(job: Job) -> list[object]:
    async def read() -> list[object]:
        return [event async for event in follow(job)]

    return asyncio.run(asyncio.wait_for(read(), 10))


def test_a_job_from_queue_to_done(engine: Engine) -> None:
    seen = events(submit(engine, "draw"))
    assert isinstance(seen[0], Queued)
    assert isinstance(seen[-1], Done)
    assert [type(e) for e in seen if not isinstance(e, (Queued, Stepped))] == [Started, Done]
    last_step = [e for e in seen if isinstance(e, Stepped)][-1]
    assert (last_step.i, last_step.n) == (3, 3)


def test_cancel_acts_at_the_next_step_and_frees_the_worker(engine: Engine) -> None:
    running, after = submit(engine, "wait", steps=1000), submit(engine, "draw")
    assert engine.cancel(running.id)
    gate.set()
    end = events(running)[-1]
    assert isinstance(end, Cancelled)
    assert end.i <= 1
    assert isinstance(events(after)[-1], Done)
    assert not engine.cancel(running.id)


def test_cancel_while_waiting_moves_the_others_up(engine: Engine) -> None:
    submit(engine, "wait")
    while engine._waiting:
        pass
    first, second = submit(engine, "draw"), submit(engine, "draw")
    assert second.events[-1] == Queued(2, None)
    engine.cancel(first.id)
    assert isinstance(first.events[-1], Cancelled)
    assert second.events[-1] == Queued(1, None)


@pytest.mark.parametrize(("prompt", "says"), [("fail", "this prompt cannot be drawn."), ("crash", "KeyError")])
def test_a_failure_is_one_sentence_and_fails_alone(engine: Engine, prompt: str, says: str) -> None:
    end = events(submit(engine, prompt))[-1]
    assert isinstance(end, Failed)
    assert says in str(end.message)
    assert isinstance(events(submit(engine, "draw"))[-1], Done)


def test_full_queue(engine: Engine) -> None:
    submit(engine, "wait")
    while engine._waiting:
        pass
    submit(engine, "draw")
    submit(engine, "draw")
    with pytest.raises(QueueFull, match="2 requests"):
        submit(engine, "draw")


def test_a_job_nobody_watches_is_given_up(engine: Engine) -> None:
    job = submit(engine, "wait", steps=1000)
    job.deadline = 0.0
    gate.set()
    assert isinstance(events(job)[-1], Cancelled)


def test_a_late_reader_sees_the_end(engine: Engine) -> None:
    job = submit(engine, "draw")
    events(job)
    assert isinstance(events(job)[-1], Done)
