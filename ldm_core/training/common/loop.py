"""The training loop every part shares: budget, learning rate, metrics, samples, exact resume."""

from __future__ import annotations

import logging
import math
import os
import signal
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from PIL import Image
from torch import Tensor
from tqdm import tqdm

from ldm_core.devices import bf16_is_faster, resolve_device
from ldm_core.training.common.distributed import agree, average_gradients, mean_over_processes
from ldm_core.training.common.metric_log import MetricLog
from ldm_core.training.common.settings import LoopSettings, RunSettings, dump_settings
from ldm_core.training.common.state import load_state, save_state
from ldm_core.training.common.task import Task

log = logging.getLogger(__name__)
PAUSE = 300.0  # seconds between two steps; no step, validation or save takes that long
WAIT = 2.0  # seconds between looks for what a step is missing


def make_accelerator(mixed_precision: str | None = None, device: str = "auto") -> Accelerator:
    """The machine as accelerate sees it, or a device's type; in bf16 where that is faster.

    Accelerate's own variable, which `accelerate launch --mixed_precision` sets too, decides otherwise. ValueError for
    fp16, whose losses would have to be scaled.
    """
    cpu = resolve_device(device).type == "cpu"
    asked = mixed_precision or os.environ.get("ACCELERATE_MIXED_PRECISION")
    if asked not in (None, "", "bf16", "no"):
        raise ValueError(f"training runs in bf16 or fp32, not {asked}: ACCELERATE_MIXED_PRECISION is bf16 or no")
    on_gpu = torch.cuda.is_available() and not cpu
    faster = torch.cuda.is_bf16_supported() if on_gpu else bf16_is_faster()
    return Accelerator(cpu=cpu, mixed_precision=asked or ("bf16" if faster else "no"))


@contextmanager
def denormals_as_zero() -> Iterator[None]:
    """Flush denormals to zero: Adam's second moments decay into them, and they are slow. Off again on exit."""
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)


def step_rng(seed: int, step: int, stream: int = 0) -> np.random.Generator:
    """The randomness of one step: a function of the step, so that a resumed run draws the same numbers."""
    return np.random.default_rng((seed, step, 0, stream))  # with the 0 resumed runs draw what they did


def torch_rng(rng: np.random.Generator) -> torch.Generator:
    """A torch CPU generator seeded from a numpy one."""
    return torch.Generator().manual_seed(int(rng.integers(2**63 - 1)))


def optimize(
    accelerator: Accelerator,
    loss: Tensor,
    parameters: Sequence[Tensor],
    optimizers: Sequence[torch.optim.Optimizer],
    clip: float,
    unprepared: Sequence[Tensor] = (),
) -> Tensor:
    """Backward, clip, step; returns the gradient's norm before clipping.

    `unprepared`: those of the parameters that no prepared network holds, averaged over processes here.
    """
    for optimizer in optimizers:
        optimizer.zero_grad(set_to_none=True)
    accelerator.backward(loss)
    average_gradients(accelerator, unprepared)
    norm = torch.nn.utils.clip_grad_norm_(parameters, clip if clip > 0 else math.inf, foreach=True)
    for optimizer in optimizers:
        optimizer.step()
    return norm


def descend(
    accelerator: Accelerator,
    losses: Mapping[str, Tensor],
    parameters: Sequence[Tensor],
    optimizer: torch.optim.Optimizer,
    clip: float,
) -> dict[str, Tensor]:
    """One step down the sum of the losses; returns them, their sum and the gradient's norm, to be logged."""
    loss = torch.stack(list(losses.values())).sum()
    norm = optimize(accelerator, loss, parameters, [optimizer], clip)
    return {"train/loss": loss.detach(), **{n: v.detach() for n, v in losses.items()}, "train/grad_norm": norm}


class Loop:
    """Runs a task in a directory; starts where the directory's state.pt ends when there is one.

    With several processes each steps its share of the batch; the main one alone logs, validates, samples and saves.
    """

    def __init__(
        self, task: Task, settings: LoopSettings, directory: Path, accelerator: Accelerator, tensorboard: bool = True
    ) -> None:
        self.task, self.settings, self.directory = task, settings, directory
        self.accelerator, self.main = accelerator, accelerator.is_main_process
        directory.mkdir(parents=True, exist_ok=True)
        self.base_lr = {n: [float(g["lr"]) for g in o.param_groups] for n, o in task.optimizers.items()}
        self.step, self.past_seconds = self._resume()
        self.started = self.seen = time.monotonic()
        self.clock = self.past_seconds  # training time at the start of the step, the same in every process
        self.log = MetricLog(directory, self.step, tensorboard) if self.main else None
        self.sums: defaultdict[str, list[float]] = defaultdict(list)
        self.late: tuple[int, Mapping[str, Tensor | float]] = (0, {})  # the last step's figures, not read yet
        self.stopping = False

    @property
    def seconds(self) -> float:
        """Training time, time before a restart included."""
        return self.past_seconds + time.monotonic() - self.started

    def run(self, until: int | None = None) -> int:
        """Train to the end of the budget, to step `until`, or to SIGTERM/SIGINT; save; return the step reached."""
        s, throughput = self.settings, _Throughput()
        timed = (
            (_Every(60 * s.save_minutes), self.save),  # first: what fails after it costs nothing
            (_Every(60 * s.validate_minutes), self._validate),
            (_Every(60 * s.sample_minutes), self._sample),
        )
        quiet = 0.5 if sys.stderr.isatty() else 30.0
        with (
            denormals_as_zero(),
            stop_on_signals(self),
            tqdm(initial=self.step, total=s.max_steps, disable=not self.main, mininterval=quiet) as bar,
        ):
            while not self._finished(until):
                factor = self._set_lr()
                self._add(self.step, self.task.step(self.step))
                self.step += 1
                throughput.add()
                self._leave_out_pauses()
                bar.update()
                if self.step % s.log_every == 0:
                    self._flush({"lr_factor": factor, "samples_per_second": throughput.per_second(s.batch)}, bar)
                for due, action in timed:
                    if due():
                        action()
                        throughput.restart()
        self.save()
        if until is None and not self.stopping:
            self._validate()
            self._sample()
        if self.log:
            self.log.close()
        self.accelerator.wait_for_everyone()
        return self.step

    def save(self) -> None:
        """Write state.pt, whole or not at all."""
        self._read_late()
        if self.main:
            save_state(self.directory / "state.pt", self.task, self.step, self.seconds)

    def _resume(self) -> tuple[int, float]:
        path = self.directory / "state.pt"
        return load_state(path, self.task) if path.exists() else (0, 0.0)

    def _leave_out_pauses(self) -> None:
        """A suspended process or machine trains nothing: such a gap does not count against the budget."""
        now = time.monotonic()
        if now - self.seen > PAUSE:
            self.started += now - self.seen
        self.seen = now

    def _finished(self, until: int | None) -> bool:
        """Whether the run is over; waits, on the run's time, while the next step is missing something."""
        said = None
        while True:
            missing = self.task.missing(self.step)
            self.stopping, waiting, self.clock = agree(
                self.accelerator, self.stopping, missing is not None, self.seconds
            )
            over = self.settings.progress(self.step, self.clock) >= 1.0
            if self.stopping or over or (until is not None and self.step >= until):
                return True
            if not waiting:
                return False
            if missing is not None and missing != said:
                log.warning("waiting for %s", missing)
            said = missing
            time.sleep(WAIT)
            self._leave_out_pauses()

    def _set_lr(self) -> float:
        factor = self.settings.lr_factor(self.step, self.clock)
        for name, optimizer in self.task.optimizers.items():
            for group, base in zip(optimizer.param_groups, self.base_lr[name], strict=True):
                group["lr"] = base * factor
        return factor

    def _add(self, step: int, values: Mapping[str, Tensor | float]) -> None:
        """Figures are read one step late: a GPU has them by then, and has the next step's work already."""
        self._read_late()
        self.late = (step, mean_over_processes(self.accelerator, values))

    def _read_late(self) -> None:
        (step, values), self.late = self.late, (0, {})
        for name, value in values.items():
            if not math.isfinite(number := float(value)):
                raise FloatingPointError(f"{name} is {number} at step {step}; nothing of this step was saved")
            self.sums[name].append(number)

    def _flush(self, extra: Mapping[str, float], bar: Any) -> None:
        self._read_late()
        means = {name: sum(v) / len(v) for name, v in self.sums.items()}
        self.sums.clear()
        self._write({**means, **extra})
        shown = {n.split("/")[-1]: f"{v:.4g}" for n, v in means.items() if n in ("aeloss", "train/loss")}
        bar.set_postfix({**shown, "samples/s": f"{extra['samples_per_second']:.1f}"})

    def _validate(self) -> None:
        if self.main:
            self._write(self.task.validate(self.step))

    def _sample(self) -> None:
        picture = self.task.sample() if self.main else None
        if picture is not None:
            path = self.directory / "samples" / f"{self.step:07d}.png"
            path.parent.mkdir(exist_ok=True)
            Image.fromarray(picture).save(path)

    def _write(self, values: Mapping[str, float]) -> None:
        if self.log:
            self.log.log(self.step, self.seconds, values)


class _Every:
    """True once each time the interval has passed."""

    def __init__(self, seconds: float) -> None:
        self.seconds, self.last = seconds, time.monotonic()

    def __call__(self) -> bool:
        due = time.monotonic() - self.last >= self.seconds
        if due:
            self.last = time.monotonic()
        return due


class _Throughput:
    """Counts steps, and the time they take."""

    def __init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """Leave out what came before: a validation's time is no step's."""
        self.since, self.steps = time.monotonic(), 0

    def add(self) -> None:
        """One step is done."""
        self.steps += 1

    def per_second(self, batch: int) -> float:
        """Samples a second since the last call or restart."""
        rate = batch * self.steps / (time.monotonic() - self.since)
        self.restart()
        return rate


@contextmanager
def stop_on_signals(loop: Loop) -> Iterator[None]:
    """SIGTERM and SIGINT end the loop after the present step, which is then saved."""

    def stop(_signal: int, _frame: FrameType | None) -> None:
        loop.stopping = True

    try:
        old = {s: signal.signal(s, stop) for s in (signal.SIGTERM, signal.SIGINT)}
    except ValueError:  # not the main thread: signals cannot be caught there
        yield
        return
    try:
        yield
    finally:
        for s, handler in old.items():
            signal.signal(s, handler)


def start(task: Task, settings: RunSettings, directory: Path, accelerator: Accelerator) -> Loop:
    """A loop in the run's directory, with the run's settings written there as config.json.

    ValueError where another run lies there, which keeps its own.
    """
    loop = Loop(task, settings.loop, directory, accelerator)
    if loop.main:
        (directory / "config.json").write_text(dump_settings(settings) + "\n", encoding="utf-8")
    return loop
