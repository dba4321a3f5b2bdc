"""The loop that owns the model: each tick it answers questions of any requests together.

A tick: drop what nobody wants any more, start jobs, one denoising call for rows of any prompt, step, sampler and
guidance, decode a few finished pictures, let labs' questions take a step. Files are written in threads.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Sequence

from app.engine.costs import Costs
from app.engine.ends import Ends, Keeper, failed
from app.engine.job import Done, End, Failed, Job, Started, sentence
from app.engine.metrics import Metrics
from app.engine.progress import Reporter, Running
from app.engine.queue import Client, FairQueue, QueueFull, Quotas
from app.engine.rows import Kind, Models, Row, batch_rows, halving, pick

log = logging.getLogger(__name__)
LOADING_SECONDS = 0.1  # how often is looked how far a model is while all jobs wait for one
STARTS = 2  # jobs prepared per tick; preparing delays everybody's next step
KEPT_JOBS = 256  # ended jobs that late readers still find


class Engine:
    """Submit, cancel, follow; one thread asks the model."""

    def __init__(self, keeper: Keeper, quotas: Quotas | None = None, strict: bool = False) -> None:
        """`strict` answers each picture in a call of its own: bit-equal whatever else is asked, and slower."""
        self._strict = strict
        self.metrics = Metrics()
        self._keeper = keeper
        self._ends = Ends(keeper, self.metrics)
        self.on_lost: Callable[[], None] = lambda: None  # the device is lost and the engine ends; ends all else
        self._queue = FairQueue(quotas or Quotas())
        self._jobs: dict[str, Job] = {}
        self._running: dict[str, Running] = {}
        self._changed = threading.Condition()
        self._closed = self._lost = False
        self._costs = Costs()
        self._answered = 0  # rows, in this tick
        self._reporter = Reporter(self.metrics)
        self._models: Models  # from `start` on
        self._wait: Callable[[], object] = lambda: None
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)

    def start(self, models: Models, wait: Callable[[], object] = lambda: None) -> None:
        """Begin to answer once `wait` has returned. Jobs may have come before."""
        self._models, self._wait = models, wait
        self._thread.start()

    def submit(self, job: Job, promised: bool = False) -> Job:
        """Take a job, or raise QueueFull, which one that was accepted before (`promised`) is spared."""
        with self._changed:
            if self._closed:
                raise QueueFull("closing")
            self._queue.add(job, promised)
            self._forget_old()
            self._jobs[job.id] = job
            self._tell_positions()
            self._changed.notify()
        return job

    def get(self, job_id: str) -> Job | None:
        """A job that is waiting, running, or recently ended."""
        return self._jobs.get(job_id)

    def begins(self, start: str, client: str) -> str | None:
        """The id of a client's job that begins so, among those `get` finds."""
        jobs = list(self._jobs.values())
        return next((job.id for job in jobs if job.client == client and job.id.startswith(start)), None)

    def jobs(self, client: str) -> list[Job]:
        """A client's jobs that have not ended, oldest first."""
        return [job for job in list(self._jobs.values()) if job.client == client and not job.done]

    def drawing_for_others(self, client: str) -> bool:
        """Whether anybody else's pictures wait or are being made."""
        return any(job.client != client and job.work is None and not job.done for job in list(self._jobs.values()))

    def cancel(self, job_id: str) -> bool:
        """Stop a job: at once while it waits, at the next tick while it runs. False where there is nothing to stop."""
        with self._changed:
            job = self._jobs.get(job_id)
            if job is None or job.done:
                return False
            job.cancelled.set()
            if self._drop(job):
                self._tell_positions()
                self._changed.notify()  # nobody may wait for its model any more
        return True

    def wake(self) -> None:
        """Look again which jobs may start."""
        with self._changed:
            self._changed.notify()

    def close(self) -> None:
        """Stop everything and end the threads."""
        with self._changed:
            self._closed = True
            for job in list(self._jobs.values()):
                job.interrupted |= job.wanted()  # and not what its client has just cancelled
                job.cancelled.set()
            for job in self._queue.waiting():  # whoever follows one of these must see an end
                self._drop(job)
            self._changed.notify()
        if self._thread.is_alive():
            self._thread.join(timeout=1)
        for running in list(self._running.values()):  # a long step goes on; whoever waits for it is told
            self._ends.end(running.job, running.stopped())
        self._ends.close()

    # -- the engine's own thread -----------------------------------------------------------------------------------

    def _run(self) -> None:
        self._wait()
        while not self._lost:
            try:
                with self._changed:
                    while not (self._running or self._closed or self._lost):
                        self._settle_waiting()
                        if self._next_job():
                            break
                        self._changed.wait(LOADING_SECONDS if len(self._queue) else None)
                    if self._closed and not self._running:
                        return
                self._tick()
            except Exception as error:  # of the loop itself: whoever was in it fails, the next tick goes on
                log.exception("a tick failed")
                for running in list(self._running.values()):
                    self._fail(running.job, error)
                time.sleep(LOADING_SECONDS)  # where it fails at once again, others get the processor
        self._keeper.lost()
        self.on_lost()

    def _tick(self) -> None:
        start, self._answered = time.monotonic(), 0
        self._drop_unwanted()
        self._start_jobs()
        for call in self._picked("denoise"):
            self._ask("denoise", call, self._models.model(call[0].job.model).answer)
        self._reporter.report(list(self._running.values()), self._models)
        for call in self._picked("decode"):
            self._ask("decode", call, self._decode)
        self._step_labs()
        self.metrics.running.set(len(self._running))
        self.metrics.tick.observe(time.monotonic() - start)
        self._reporter.note(self._answered, time.monotonic() - start)
        if self._reporter.due():
            with self._changed:
                self._tell_positions()

    def _settle_waiting(self) -> None:
        """End the waiting jobs that nobody wants any more or whose model cannot be loaded. The lock is held."""
        waiting = self._queue.waiting()
        found = {name: self._models.fault(name) for name in {job.model for job in waiting}}  # each is told once
        faults = {name: fault for name, fault in found.items() if fault is not None}
        if any(self._loses(fault) for fault in faults.values()):
            return
        lost = [job for job in waiting if not job.wanted() or job.model in faults]
        for job in lost:
            fault = faults.get(job.model)
            self._drop(job, None if fault is None else Failed(sentence(fault, "not_readable")))
        if lost:
            self._tell_positions()

    def _next_job(self) -> tuple[Client, Job] | None:
        """The job that starts next, and its client: the one served least of those that have room. The lock is held."""
        waiting = self._queue.waiting()
        may_start = self._models.admit(waiting, {running.job.model for running in self._running.values()})
        self._reporter.loading(waiting, self._models)
        lines = (client for client in self._queue.order() if self._room(client.name))
        return next(((line, job) for line in lines for job in line.in_turn() if may_start(job)), None)

    def _drop_unwanted(self) -> None:
        for running in [r for r in self._running.values() if not r.job.wanted()]:
            if running.work is not None:
                running.work.close()
            self._end(running.job, running.stopped())

    def _start_jobs(self) -> None:
        for _ in range(STARTS):
            with self._changed:
                self._settle_waiting()
                if self._lost or (found := self._next_job()) is None:
                    return
                job = self._queue.take(*found)
                self._tell_positions()
            running = self._running[job.id] = Running(job, n=job.request.steps)
            start = time.monotonic()
            try:
                self._keeper.begin(job)
                job.emit(Started(job.request.steps))
                model = self._models.model(job.model)
                if job.work is not None:
                    running.work = job.work(model.pipe)
                else:
                    running.rows = model.prepare(job)
                    running.n = running.rows[0].n
            except Exception as error:
                self._fail(job, error, client_error=isinstance(error, ValueError))
            self._queue.charge(job, time.monotonic() - start)

    def _room(self, client: str) -> bool:
        """Whether another job of this client would be answered soon: it runs no more than two full calls of rows."""
        mine = [r for r in self._running.values() if r.job.client == client]
        rows = [row for r in mine for row in r.due("denoise")]
        labs = any(r.work is not None for r in mine)
        most = max((self._costs.limit(("denoise", row.key)) for row in rows), default=1)
        return not labs and sum(row.terms for row in rows) < 2 * most

    def _picked(self, kind: Kind) -> list[list[Row]]:
        """The rows of this tick's calls."""
        lines: dict[str, list[Row]] = defaultdict(list)
        for running in self._running.values():
            lines[running.job.client] += running.due(kind)
        for name, rows in lines.items():
            users = self._queue.users(name)
            rows.sort(key=lambda row: users.get(row.job.user, 0.0))  # stable: a user's rows stay in order
        calls = pick(kind, lines, {name: self._queue.served(name) for name in lines}, self._costs)
        return [[row] for rows in calls for row in rows] if self._strict else calls

    def _ask(self, kind: Kind, rows: Sequence[Row], question: Callable[[Sequence[Row]], None]) -> None:
        """Ask about all rows together, and note what each call took."""
        for asked, seconds, error in halving(rows, question, lambda row: row.job.id in self._running):
            size, key = sum(batch_rows(kind, row) for row in asked), (kind, asked[0].key)
            if isinstance(error, MemoryError):
                self._costs.full(key, size)
            if error is not None:
                if len(asked) == 1:
                    self._fail(asked[0].job, error)
                continue
            self._costs.note(key, size, seconds)
            self._answered += len(asked) if kind == "denoise" else 0
            self.metrics.called(kind, len(asked), size)
            for row in asked:
                self._queue.charge(row.job, seconds * batch_rows(kind, row) / size)
                if row.error is not None:
                    self._fail(row.job, row.error)

    def _decode(self, rows: Sequence[Row]) -> None:
        """Decode finished rows; a job whose last picture this was goes to be saved."""
        for row, pixels in zip(rows, self._models.model(rows[0].job.model).decode(rows), strict=True):
            running = self._running[row.job.id]
            running.images[row.index] = pixels
            if len(running.images) == len(running.rows):
                self._release(running.job)
                self._ends.save(running)

    def _step_labs(self) -> None:
        """One step of a lab's question for every client that has had no more than anybody else."""
        active = {r.job.client for r in self._running.values()}
        for client in self._queue.order():
            mine = next((r for r in self._running.values() if r.work and r.job.client == client.name), None)
            least = min((self._queue.served(name) for name in active), default=0.0)
            if mine is not None and client.served <= least:
                self._step_lab(mine)

    def _step_lab(self, running: Running) -> None:
        assert running.work is not None
        start = time.monotonic()
        try:
            event = next(running.work)
            running.i, running.n = event.i, event.n
            running.job.emit(event)
        except StopIteration as end:
            self._end(running.job, Done(end.value))
        except Exception as error:
            self._fail(running.job, error)
        self._queue.charge(running.job, time.monotonic() - start)

    # -- ends ------------------------------------------------------------------------------------------------------

    def _fail(self, job: Job, error: Exception, client_error: bool = False) -> None:
        """End a job by its error. Where that is the device's end, no job has failed: `close` ends them all."""
        if not self._loses(error):
            self._end(job, failed(job, error, client_error))

    def _loses(self, error: Exception) -> bool:
        if not self._lost and self._models.model("").is_lost(error):  # all share one device
            self._lost = True
            log.critical("the device is lost, so this process ends", exc_info=error)
        return self._lost

    def _end(self, job: Job, event: End) -> None:
        self._release(job)
        self._ends.end(job, event)

    def _drop(self, job: Job, event: End | None = None) -> bool:
        """End a waiting job, by default as stopped; False where it does not wait."""
        if waits := self._queue.remove(job):
            self._ends.end(job, event or job.stopped(0, job.request.steps, waiting=True))
        return waits

    def _release(self, job: Job) -> None:
        """The job needs the model no more."""
        with self._changed:
            if self._running.pop(job.id, None) is not None:
                self._queue.ended(job)

    def _tell_positions(self) -> None:
        self.metrics.waiting.set(len(self._queue))
        self._reporter.positions(self._queue.waiting(), list(self._running.values()))

    def _forget_old(self) -> None:
        """The newest ended jobs stay, without labs' questions: whoever asked one follows it and has its answer."""
        ended = [job for job in self._jobs.values() if job.done]
        pictures = [job for job in ended if job.work is None]
        for job in {*ended} - {*pictures[-KEPT_JOBS:]}:
            del self._jobs[job.id]
