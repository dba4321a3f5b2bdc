"""The loop: batching, order, cancel, one failure at a time, fair shares, chaos."""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections.abc import Generator, Iterator
from typing import Any

import numpy as np
import pytest

from app.engine import (
    Cancelled,
    Done,
    Engine,
    Failed,
    Interrupted,
    Job,
    Queued,
    QueueFull,
    Quotas,
    Requester,
    Started,
    Stepped,
    follow,
)
from app.engine.costs import Costs
from app.engine.queue import FairQueue
from app.engine.rows import pick
from app.i18n import Sentence
from ldm_core.sampling import SamplingParams
from tests.app.engine.fake import Alone, FakeKeeper, FakeModel, FakeRow
from tests.app.serving import until


def save(job: Job, pictures: list[Any], seconds: float, steps: int) -> tuple[str, int, int]:
    if job.request.prompt == "unsaved":
        raise OSError(28, "No space left on device")
    return job.request.prompt, len(pictures), steps


@pytest.fixture
def model() -> FakeModel:
    return FakeModel()


@pytest.fixture
def keeper() -> FakeKeeper:
    return FakeKeeper(save)


@pytest.fixture
def engine(model: FakeModel, keeper: FakeKeeper) -> Iterator[Engine]:
    engine = Engine(keeper, Quotas(jobs=40, client_jobs=35))
    engine.start(Alone(model))
    yield engine
    model.gate.set()
    engine.close()


def submit(engine: Engine, prompt: str, steps: int = 3, client: str = "", batch: int = 1, **more: Any) -> Job:
    return engine.submit(Job(SamplingParams(prompt, steps=steps, batch=batch), requester=Requester(client, **more)))


def events(job: Job) -> list[object]:
    async def read() -> list[object]:
        return [event async for _, event in follow(job)]

    return asyncio.run(asyncio.wait_for(read(), 20))


def hold(engine: Engine, model: FakeModel, jobs: int = 1) -> list[Job]:
    """Jobs that keep the model busy until its gate opens."""
    held = [submit(engine, "wait", client=f"holder {k}") for k in range(jobs)]
    until(lambda: held[0].last(Started))
    return held


def test_a_job_from_queue_to_done(engine: Engine) -> None:
    seen = events(submit(engine, "draw", batch=3))
    assert isinstance(seen[0], Queued)
    assert [type(e) for e in seen if not isinstance(e, (Queued, Stepped))] == [Started, Done]
    last_step = [e for e in seen if isinstance(e, Stepped)][-1]
    assert (last_step.i, last_step.n) == (3, 3)
    assert seen[-1] == Done(("draw", 3, 3))


def test_requests_share_a_call_whatever_their_steps(engine: Engine, model: FakeModel) -> None:
    model.base = 0.005  # a call costs enough that sharing it pays, whatever else the machine does
    held = hold(engine, model)
    jobs = [submit(engine, "draw", steps=10 + k, client=str(k)) for k in range(8)]
    model.gate.set()
    assert all(isinstance(job.wait(), Done) for job in [*held, *jobs])
    assert max(model.calls) >= 8, "rows of eight requests are answered together"
    assert sum(model.calls) == 2 * (3 + sum(range(10, 18)))


def test_strict_answers_each_picture_alone(model: FakeModel) -> None:
    engine = Engine(FakeKeeper(save), strict=True)
    engine.start(Alone(model))
    jobs = [submit(engine, "draw", batch=4, client=str(k)) for k in range(4)]
    assert all(isinstance(job.wait(), Done) for job in jobs)
    assert set(model.calls) == {2}
    engine.close()


def test_cancel_acts_at_the_next_tick(engine: Engine, model: FakeModel) -> None:
    running, after = submit(engine, "wait", steps=1000), submit(engine, "draw")
    assert engine.cancel(running.id)
    model.gate.set()
    end = events(running)[-1]
    assert isinstance(end, Cancelled)
    assert end.i <= 1
    assert isinstance(events(after)[-1], Done)
    assert not engine.cancel(running.id)


def test_cancel_while_waiting_moves_the_others_up(engine: Engine, model: FakeModel) -> None:
    hold(engine, model)
    first, second = submit(engine, "draw", client="a"), submit(engine, "draw", client="a")
    assert isinstance(second.events[-1], Queued) and second.events[-1].position == 2
    engine.cancel(first.id)
    assert isinstance(first.events[-1], Cancelled)
    assert isinstance(second.events[-1], Queued) and second.events[-1].position == 1


@pytest.mark.parametrize(
    ("prompt", "says"),
    [
        ("fail", "this prompt cannot be drawn."),
        ("crash", "KeyError"),
        ("stumble", "RuntimeError"),
        ("unprepared", "cannot be encoded"),
        ("undecoded", "cannot be decoded"),
        ("unsaved", "OSError"),
    ],
)
def test_a_failure_is_one_sentence_and_fails_alone(engine: Engine, model: FakeModel, prompt: str, says: str) -> None:
    """Also where it shares its calls with others."""
    hold(engine, model)
    good = [submit(engine, "draw", steps=5, client=str(k)) for k in range(5)]
    bad = submit(engine, prompt, client="bad")
    model.gate.set()
    end = events(bad)[-1]
    assert isinstance(end, Failed)
    assert says in str(end.message) and "\n" not in str(end.message)
    assert all(isinstance(job.wait(), Done) for job in good)


def test_a_lost_device_fails_no_job_that_is_written_down(engine: Engine, model: FakeModel) -> None:
    """Else the whole line would fail within a second, and with it what the journal keeps."""
    lost = threading.Event()
    engine.on_lost = lost.set
    hold(engine, model)
    jobs = [submit(engine, prompt, client=prompt, durable=True) for prompt in ("draw", "lose", "wait")]
    jobs += [submit(engine, "draw", client="draw", durable=True) for _ in range(10)]
    answered = submit(engine, "draw", client="no journal")
    model.gate.set()
    assert lost.wait(10)
    assert not any(isinstance(job.events[-1], Failed) for job in jobs)
    engine.close()
    assert [type(job.wait()) for job in jobs] == [Interrupted] * len(jobs)
    assert answered.wait() == Failed(Sentence("closing"))


def test_a_device_lost_while_nobody_asks_costs_one_job_a_run(model: FakeModel) -> None:
    """The first that finds out; those that wait have not begun."""
    begun: list[Job] = []
    engine = Engine(FakeKeeper(begin=begun.append), Quotas(100, 100))
    lost, model.lost = threading.Event(), True
    engine.on_lost = lost.set
    jobs = [submit(engine, "draw", client=name, durable=True) for name in "abc"]
    engine.start(Alone(model))
    assert lost.wait(10) and len(begun) == 1
    engine.close()
    assert [type(job.wait()) for job in jobs] == [Interrupted] * 3


def test_a_preview_that_fails_costs_nothing_but_itself(engine: Engine) -> None:
    seen = events(submit(engine, "blind"))
    assert isinstance(seen[-1], Done) and not any(isinstance(e, Stepped) and e.preview is not None for e in seen)


def test_a_full_memory_halves_the_call(engine: Engine, model: FakeModel) -> None:
    model.memory = 4
    jobs = [submit(engine, "draw", steps=30, client=str(k)) for k in range(8)]
    assert all(isinstance(job.wait(), Done) for job in jobs)
    assert max(model.calls) <= 4
    model.memory = 1  # not even one picture
    end = submit(engine, "draw").wait()
    assert isinstance(end, Failed) and str(end.message).startswith("Out of memory")


def test_full_queues(engine: Engine, model: FakeModel) -> None:
    hold(engine, model)
    for _ in range(35):
        submit(engine, "draw", client="a")
    with pytest.raises(QueueFull, match="already: 35"):
        submit(engine, "draw", client="a")
    for k in range(5):
        submit(engine, "draw", client=f"b{k}")
    with pytest.raises(QueueFull, match="already: 40"):
        submit(engine, "draw", client="c")


def test_one_address_holds_half_of_the_queue_whatever_its_cookies() -> None:
    queue = FairQueue(Quotas(jobs=40))

    def waiting(k: int, account: str) -> Job:
        return Job(SamplingParams("draw"), requester=Requester(f"cookie {k}", account))

    for k in range(20):
        queue.add(waiting(k, "address"))
    with pytest.raises(QueueFull, match="from your address or key: 20"):
        queue.add(waiting(20, "address"))
    queue.add(waiting(20, "address"), promised=True)
    queue.add(waiting(21, "another"))


def test_a_client_s_users_share_its_quota_and_take_turns(engine: Engine, model: FakeModel) -> None:
    hold(engine, model)
    crowd = [submit(engine, "draw", client="key", user=f"user {k % 3}") for k in range(33)]
    late = submit(engine, "draw", client="key", user="late")
    assert late.last(Queued) is not None and late.last(Queued).position <= 4  # type: ignore[union-attr]
    with pytest.raises(QueueFull):
        for k in range(3):
            submit(engine, "draw", client="key", user=f"made up {k}")
    model.gate.set()
    assert all(isinstance(job.wait(), Done) for job in [*crowd, late])


def test_a_user_who_comes_starts_level_with_those_who_stay() -> None:
    """And not with one who came once and is gone: who asks all the time would have to wait until they are level."""
    queue = FairQueue(Quotas())
    asking = [Requester("key", user=user) for user in ("steady", "once", "new", "once")]
    steady, *more = (Job(SamplingParams("draw"), requester=who) for who in asking)
    queue.add(steady)
    [client] = queue.order()
    queue.take(client, steady)
    queue.charge(steady, 10.0)
    for job in more:
        queue.add(job)
        assert queue.users("key")[job.user] == 10.0
        queue.take(client, job)
        queue.ended(job)
        queue.charge(job, 1.0)  # of the call that ended it
        assert queue.users("key") == {"steady": 10.0}
    queue.ended(steady)
    assert queue.users("key") == {} and not client.active


def test_an_end_that_cannot_be_written_down_is_an_end_all_the_same(engine: Engine, keeper: FakeKeeper) -> None:
    def full(job: Job, event: object) -> None:
        raise OSError(28, "No space left on device")

    keeper.end = full
    ends = [submit(engine, prompt).wait() for prompt in ("fail", "unsaved", "draw", "unprepared", "draw")]
    assert [type(end) for end in ends] == [Failed, Failed, Done, Failed, Done]


@pytest.mark.parametrize("prompt", ["fail", "draw", "unprepared", "wait"])
def test_the_engine_s_thread_waits_for_no_disk(
    engine: Engine, model: FakeModel, keeper: FakeKeeper, prompt: str
) -> None:
    """The end of a durable job is written down in a thread, before it is told; cancelling waits for nothing either."""
    told: list[tuple[str, bool]] = []
    disk = threading.Event()

    def write(job: Job, event: object) -> None:
        if job.requester.durable:
            disk.wait(10)
            told.append((threading.current_thread().name.partition("_")[0], job.done))

    keeper.end = write
    durable = submit(engine, prompt, durable=True)
    if prompt == "wait":
        assert engine.cancel(durable.id)
        model.gate.set()
    assert isinstance(submit(engine, "draw", client="other").wait(), Done), "others go on"
    assert not durable.done
    disk.set()
    durable.wait()
    assert told == [("save", False)]


def test_a_start_is_written_down_before_anything_is_made_and_not_while_a_job_waits(
    engine: Engine, model: FakeModel, keeper: FakeKeeper
) -> None:
    begun: list[tuple[str, bool]] = []

    def write(job: Job) -> None:
        begun.append((job.request.prompt, job.last(Started) is not None))
        if job.request.prompt == "unwritten":
            raise OSError(28, "No space left on device")

    keeper.begin = write
    hold(engine, model)
    waiting = submit(engine, "draw", client="other")
    failed = submit(engine, "unwritten", client="third")
    time.sleep(0.05)
    assert begun == [("wait", False)]
    model.gate.set()
    assert isinstance(waiting.wait(), Done) and isinstance(failed.wait(), Failed)
    assert begun == [("wait", False), ("draw", False), ("unwritten", False)]


def test_a_wait_counts_down_though_no_place_changes(
    engine: Engine, model: FakeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.engine.progress.WAIT_SECONDS", 0.05)
    model.base = 0.02
    jobs = [submit(engine, "draw", steps=40, batch=8) for _ in range(12)]
    end = time.monotonic() + 20
    while time.monotonic() < end:  # places change too, at first: the engine learns how many rows share a call
        told = [event for event in jobs[-1].events if isinstance(event, Queued) and event.wait_seconds is not None]
        waits = [event.wait_seconds for event in told if event.position == told[-1].position]
        if len(waits) >= 3:
            break
        time.sleep(0.05)
    assert len(waits) >= 3 and waits[-1] < waits[0]  # type: ignore[operator]


def test_nothing_is_taken_after_the_end_has_begun(engine: Engine) -> None:
    engine.close()
    with pytest.raises(QueueFull, match="ending"):
        submit(engine, "draw")


def test_the_first_tick_waits_for_what_it_is_told_to(model: FakeModel) -> None:
    """Jobs are taken, and can be given up, meanwhile."""
    engine, may_begin = Engine(FakeKeeper(save)), threading.Event()
    engine.start(Alone(model), wait=may_begin.wait)
    job, unwanted = submit(engine, "draw"), submit(engine, "draw")
    assert engine.cancel(unwanted.id) and isinstance(unwanted.wait(), Cancelled)
    time.sleep(0.05)
    assert not model.calls and job.last(Queued)
    may_begin.set()
    assert isinstance(job.wait(), Done)
    engine.close()


def test_a_job_nobody_watches_is_given_up(engine: Engine, model: FakeModel) -> None:
    job = submit(engine, "wait", steps=1000)
    job.deadline = 0.0
    model.gate.set()
    assert isinstance(events(job)[-1], Cancelled)


class ReturnedTo(Job):
    """A job that somebody comes back to between two looks at its deadline."""

    looks = 0

    @property
    def deadline(self) -> float | None:  # type: ignore[override]
        self.looks += 1
        return 0.0 if self.looks == 1 else None

    @deadline.setter
    def deadline(self, value: float | None) -> None:
        pass


def test_who_comes_back_at_the_wrong_moment_is_late_and_harms_nobody(engine: Engine) -> None:
    assert not ReturnedTo(SamplingParams("draw")).wanted()
    late = engine.submit(ReturnedTo(SamplingParams("draw")))
    assert isinstance(events(late)[-1], Cancelled)


def test_a_late_reader_sees_the_end(engine: Engine) -> None:
    job = submit(engine, "draw")
    events(job)
    assert isinstance(events(job)[-1], Done)


def test_of_a_run_s_previews_the_latest_stays() -> None:
    job = Job(SamplingParams("draw"))
    for i in range(1, 5):
        job.emit(Stepped(i, 9, 0.0, 0.0, None if i == 4 else np.full((4, 4, 3), i, np.uint8)))
    shown = [event for event in job.events if isinstance(event, Stepped) and event.preview is not None]
    assert [event.i for event in shown] == [3] and len(job.events) == 4


def test_only_pictures_are_remembered_after_their_end(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sketches while one types must not push them out, nor hold their results."""
    monkeypatch.setattr("app.engine.loop.KEPT_JOBS", 2)
    pictures = [submit(engine, "draw") for _ in range(3)]
    assert all(isinstance(job.wait(), Done) for job in pictures)
    labs = [engine.submit(Job(SamplingParams(""), work=work(1))) for _ in range(4)]
    assert all(isinstance(job.wait(), Done) for job in labs)
    submit(engine, "draw").wait()
    assert [engine.get(job.id) is not None for job in pictures + labs] == [False, True, True] + [False] * 4


def test_a_call_decodes_few_pictures_however_many_are_done() -> None:
    """Where more pay, too: a call's memory stays with the process."""
    costs = Costs()
    for size in (2, 4, 8, 16, 32, 64):
        for kind in ("denoise", "decode"):
            for _ in range(3):
                costs.note((kind, "128"), size, 1.0)
    rows = [FakeRow(Job(SamplingParams("")), k, 3, pixels=32 * 32) for k in range(50)]
    calls = {kind: pick(kind, {"me": rows}, {"me": 0.0}, costs) for kind in ("denoise", "decode")}
    assert {kind: [len(rows) for rows in called] for kind, called in calls.items()} == {"denoise": [32], "decode": [16]}


def work(steps: int, seconds: float = 0.0, fails: bool = False) -> Any:
    def steps_of(_pipe: object) -> Generator[Stepped, None, str]:
        for i in range(1, steps + 1):
            time.sleep(seconds)
            if fails:
                raise ValueError("the lab's question was wrong")
            yield Stepped(i, steps, 0.0, 0.0, None)
        return "answered"

    return steps_of


def test_a_lab_s_question_is_a_job_like_any_other(engine: Engine) -> None:
    assert engine.submit(Job(SamplingParams("", steps=4), work=work(4))).wait() == Done("answered")
    assert isinstance(engine.submit(Job(SamplingParams(""), work=work(4, fails=True))).wait(), Failed)


def test_labs_of_two_clients_end_in_the_same_round(engine: Engine) -> None:
    """The one that ends first has left the queue when the other's turn is decided."""
    for _ in range(20):
        asking = [Requester(name) for name in "abcd"]
        jobs = [engine.submit(Job(SamplingParams("", steps=2), work=work(2), requester=who)) for who in asking]
        assert [job.wait() for job in jobs] == [Done("answered")] * 4


def test_a_slow_lab_does_not_hold_a_picture_up(engine: Engine) -> None:
    """Its steps take a hundred times the picture's; after each of them the picture catches up."""
    lab = engine.submit(Job(SamplingParams("", steps=100), work=work(100, 0.1), requester=Requester("teacher")))
    until(lambda: lab.last(Stepped))
    before = lab.last(Stepped).i
    assert isinstance(submit(engine, "draw", steps=25, client="other").wait(), Done)
    assert lab.last(Stepped).i - before <= 4
    assert engine.cancel(lab.id)


def seconds_of(engine: Engine, steps: int, client: str) -> float:
    start = time.monotonic()
    assert isinstance(submit(engine, "draw", steps=steps, client=client, previews=False).wait(), Done)
    return time.monotonic() - start


@pytest.mark.slow  # it measures time: nothing else may run beside it
@pytest.mark.parametrize(("base", "each"), [(0.004, 0.0), (0.004, 0.0002), (0.0, 0.003)])
def test_a_short_job_beside_thirty_long_ones(base: float, each: float) -> None:
    """Whether rows come free in a call, nearly free, or pay nothing: at most twice the time on an idle server.

    Where they pay nothing two clients take turns, which is twice the time and the turn that was under way.
    """
    model = FakeModel(base, each)
    most = 2.0 if base else 2.2
    engine = Engine(FakeKeeper(save))
    engine.start(Alone(model))
    try:
        for _ in range(3):
            idle = seconds_of(engine, 25, "short")
        long = [submit(engine, "draw", steps=500, client="long", previews=False) for _ in range(30)]
        assert not any(isinstance(job.events[-1], Failed) for job in long)
        time.sleep(0.3)
        crowded = min(seconds_of(engine, 25, "short") for _ in range(2))
        assert crowded <= most * idle, f"{crowded:.3f} s beside others, {idle:.3f} s alone"
    finally:
        engine.close()


def test_chaos(engine: Engine) -> None:
    """Clients that vanish, cancel, ask for rubbish: every job has one end, and the engine still works."""
    rng = random.Random(7)
    prompts = ["draw", "rubbish", "fail", "crash", "stumble", "unprepared", "undecoded", "unsaved", "blind"]
    jobs: list[Job] = []
    while len(jobs) < 200:
        try:
            job = submit(
                engine, rng.choice(prompts), rng.randint(1, 30), rng.choice("abcdefgh"), batch=rng.randint(1, 3)
            )
        except QueueFull:
            time.sleep(0.001)
            continue
        jobs.append(job)
        if rng.random() < 0.3:
            engine.cancel(rng.choice(jobs).id)
        elif rng.random() < 0.1:
            rng.choice(jobs).deadline = 0.0
    ends = [job.wait() for job in jobs]
    assert len(ends) == 200
    assert all(sum(isinstance(e, (Done, Failed, Cancelled)) for e in job.events) == 1 for job in jobs)
    assert {type(end) for end in ends} == {Done, Failed, Cancelled}
    assert isinstance(submit(engine, "draw").wait(), Done)
    assert not engine._running and not len(engine._queue)


def test_whoever_waits_for_a_long_call_is_told_when_the_engine_closes(engine: Engine, model: FakeModel) -> None:
    (held,) = hold(engine, model)
    start = time.monotonic()
    engine.close()
    assert held.events[-1] == Failed(Sentence("closing")) and time.monotonic() - start < 3  # the call itself takes ten


def test_what_is_written_down_ends_as_interrupted_and_not_as_cancelled(
    engine: Engine, model: FakeModel, keeper: FakeKeeper
) -> None:
    """Running and waiting; what its client has given up before is cancelled all the same."""
    model.base = 0.001
    model.gate.set()
    running, unwanted = (submit(engine, "wait", steps=100_000, durable=True, client=name) for name in "ab")
    until(lambda: running.last(Started) and unwanted.last(Started))
    model.gate.clear()
    waiting = [
        submit(engine, "draw", client="c", steps=9, batch=40, durable=durable) for durable in (True, True, False)
    ]
    written: dict[str, object] = {}
    keeper.end = lambda job, event: written.setdefault(job.id, event)
    engine.cancel(unwanted.id)
    engine.close()
    engine.close()  # the server's own end comes after the signal's
    assert written[unwanted.id] == unwanted.events[-1], "else it would run again at the next start"
    assert isinstance(running.events[-1], Interrupted) and isinstance(unwanted.events[-1], Cancelled)
    assert [type(job.wait()) for job in waiting] == [Interrupted, Interrupted, Failed]
