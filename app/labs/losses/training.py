"""A small real training run, started from the page: `python -m ldm_core train autoencoder` beside it, one at a time."""

from __future__ import annotations

import atexit
import os
import shutil
import subprocess
import sys
import threading
import time
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from app.labs.losses.runs import PAGE_PREFIX, load_run
from app.schemas import RequestError

ROOT = Path(__file__).parents[3]
DRAWINGS = Path(__file__).parent / "mini-corpus.zip"
STEPS = (20, 1000)
MINUTES = 3.0
GRACE_SECONDS = 90.0  # beyond MINUTES, for start and end; then the process is ended
KEPT = 3  # earlier runs that stay in the folder
SETTINGS = (  # the shipped autoencoder's geometry, small crops
    "preset=EMOJI_128",
    "crop=32",
    "initialise=true",
    "validation=8",
    "loop.batch=8",
    "loop.lr=1.5e-3",
    "loop.warmup=20",
    "loop.ema_decay=0.97",
    "loop.log_every=5",
    "loop.validate_minutes=0.2",
    "loop.sample_minutes=0.2",
    "loss.gradient_weight=1",
    "loss.mse_weight=4",
    "loss.coarse_weight=2",
    "loss.chroma_boost=2",
    "betas=[0.9, 0.99]",
    "loop.save_minutes=10",
    "loss.perceptual_trunk=",
    "loss.disc_ndf=16",
    "loss.kl_weight=1e-3",
)
Phase = Literal["idle", "starting", "running", "done", "stopped", "failed"]


@dataclass(frozen=True)
class Plan:
    """How long a run may last, and from which step on it has a discriminator."""

    steps: int = 600
    disc_start: int = 400

    def __post_init__(self) -> None:
        low, high = STEPS
        if not low <= self.steps <= high:
            raise RequestError("fault_train_steps", low=low, high=high, steps=self.steps)
        if self.disc_start < 0:
            raise RequestError("fault_disc_start", start=self.disc_start)


@dataclass(frozen=True)
class Progress:
    """Where the run is. `psnr`: dB on held-out drawings after the first step and now; samples: the same two, PNGs."""

    phase: Phase
    name: str = ""
    step: int = 0
    steps: int = 0
    psnr: tuple[float, float] | None = None
    samples: tuple[Path, Path] | None = None
    message: str = ""

    @property
    def going(self) -> bool:
        """Whether a run is starting or running."""
        return self.phase in ("starting", "running")


class Training:
    """The one run there may be. Its folder is `folder`/NAME, read as any other run's."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._folder, self._plan, self._code, self._stopping = Path(), Plan(), 0, False

    def start(self, folder: Path, plan: Plan) -> str:
        """Begin a run and return its name; RequestError while another is going."""
        with self._lock:
            if self._thread is not None and self._thread.is_alive():
                raise RequestError("fault_training_busy")
            folder.mkdir(parents=True, exist_ok=True)
            for old in sorted(folder.glob(f"{PAGE_PREFIX}*"))[:-KEPT]:
                shutil.rmtree(old, ignore_errors=True)
            self._folder = folder / f"{PAGE_PREFIX}{time.strftime('%m%d-%H%M%S')}"
            self._folder.mkdir(exist_ok=True)
            self._plan, self._code, self._stopping = plan, 0, False
            if self._thread is None:
                atexit.register(self.stop)  # a run must not outlive the page
            self._thread = threading.Thread(target=self._run, args=(self._folder, plan), name="training", daemon=True)
            self._thread.start()
            return self._folder.name

    def stop(self) -> None:
        """End the run after its present step, as SIGTERM does; nothing happens where none is going."""
        with self._lock:
            self._stopping = True
            if self._process is not None and self._process.poll() is None:
                self._process.terminate()

    def progress(self) -> Progress:
        """Where it is now, from what it has logged."""
        thread, name = self._thread, self._folder.name
        if thread is None:
            return Progress("idle")
        step, psnr = _logged(name, self._folder / "metrics.csv")
        phase: Phase = "running" if step > 0 else "starting"
        if not thread.is_alive():
            phase = "stopped" if self._stopping else "failed" if self._code else "done"
        message = _last_line(self._folder / "out.log") if phase == "failed" else ""
        pictures = sorted((self._folder / "samples").glob("*.png"))
        samples = (pictures[0], pictures[-1]) if pictures else None
        return Progress(phase, name, step, self._plan.steps, psnr, samples, message)

    def _run(self, folder: Path, plan: Plan) -> None:
        """One step first, which ends with a validation: the "before"; then the same run goes on where that ended."""
        try:
            corpus = unpacked(folder.parent)
        except (OSError, zipfile.BadZipFile) as error:
            (folder / "out.log").write_text(f"{DRAWINGS.name}: {error}\n")
            self._code = 1
            return
        end = time.monotonic() + 60 * MINUTES + GRACE_SECONDS
        for steps in (1, plan.steps):
            self._code = self._process_of(folder, command(folder.name, corpus, steps, plan.disc_start), end)
            if self._code or self._stopping:
                return

    def _process_of(self, folder: Path, argv: list[str], end: float) -> int:
        half = max(1, (os.cpu_count() or 2) // 2)  # the page wants to breathe
        env = {**os.environ, "LATENT_LAB_RUNS": str(folder.parent), "OMP_NUM_THREADS": str(half)}
        with (folder / "out.log").open("ab") as out:
            with self._lock:
                if self._stopping:
                    return 0
                self._process = process = subprocess.Popen(argv, cwd=ROOT, env=env, stdout=out, stderr=out)
            try:
                return process.wait(timeout=max(1.0, end - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                return process.wait()


TRAINING = Training()


def command(name: str, corpus: Path, steps: int, disc_start: int) -> list[str]:
    """The command line of a run, as anybody may type it."""
    bounds = [f"loop.max_steps={steps}", f"loop.minutes={MINUTES}", f"loss.disc_start={disc_start}"]
    settings = [*SETTINGS, *bounds]
    run = [sys.executable, "-m", "ldm_core", "train", "autoencoder", "--name", name, "--device", "cpu"]
    return [*run, "--corpus", str(corpus), *settings]


def unpacked(folder: Path) -> Path:
    """The shipped drawings as a corpus in `folder`, unpacked once."""
    corpus = folder / DRAWINGS.stem
    if not (corpus / "complete").exists():
        with zipfile.ZipFile(DRAWINGS) as archive:
            archive.extractall(corpus)
        (corpus / "complete").touch()
    return corpus


def _logged(name: str, path: Path) -> tuple[int, tuple[float, float] | None]:
    try:
        run = load_run(name, {name: path})
    except RequestError:  # nothing logged yet, or being rewritten by the second process
        return 0, None
    step = int(max(curve.steps[-1] for curve in run.values()))
    psnr = run.get("val/psnr")
    return step, None if psnr is None else (float(psnr.values[0]), float(psnr.values[-1]))


def _last_line(path: Path) -> str:
    lines = path.read_text(errors="replace").splitlines() if path.exists() else []
    return next((line.strip() for line in reversed(lines) if line.strip()), "")
