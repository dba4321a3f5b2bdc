"""Real processes: one killed in the middle of its work, and two that train as one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from accelerate.state import AcceleratorState

from ldm_core.__main__ import main
from ldm_core.models.autoencoder import AutoencoderKL
from ldm_core.presets import TINY
from ldm_core.training.common import loop
from ldm_core.training.common.distributed import Share
from ldm_core.training.common.loop import make_accelerator
from ldm_core.training.common.metric_log import read_metrics
from ldm_core.training.common.state import read_state

ROOT = Path(__file__).parents[3]
TOLERANCE = 1e-4  # relative; sums of two halves in another order differ by up to 5e-5 after 8 steps, by processor


@pytest.fixture
def arguments(home: Path) -> list[str]:
    """A tiny diffusion run's command line but for its name; its first stage and latents are there."""
    torch.manual_seed(0)
    first = AutoencoderKL(TINY.first_stage).state_dict()
    (home / "runs/ae").mkdir()
    state = {"step": 3, "seconds": 1.0, "averages": {}, "networks": {"first_stage_model": first}}
    torch.save(state, home / "runs/ae/state.pt")
    shared = ["--autoencoder", "ae", "--corpus", str(home / "corpus"), "--latents", str(home / "latents")]
    assert main(["train", "cache-latents", "--preset", "TINY", "--device", "cpu", *shared]) == 0
    small = ["preset=TINY", "sample_steps=1", 'prompts=["a"]', "loop.log_every=1", "loop.warmup=2", "loop.lr=1e-3"]
    return ["train", "diffusion", "--text", "words", "--device", "cpu", *shared, *small]


def environment(threads: int) -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": str(threads), "PYTHONPATH": str(ROOT)}


def curve(run: Path, name: str = "train/loss") -> list[tuple[int, float]]:
    return [(step, value) for step, n, value, _ in read_metrics(run / "metrics.csv") if n == name]


HANGS = """
import sys, time
from ldm_core.__main__ import main
from ldm_core.training.diffusion.task import DiffusionTask
from ldm_core.training.common.loop import Loop

step, save = DiffusionTask.step, Loop.save

def hang(task, number):
    return time.sleep(600) if number == 7 else step(task, number)

DiffusionTask.step = hang
Loop.save = lambda loop: save(loop) if loop.step == 4 else None
main(sys.argv[1:])
"""


@pytest.mark.slow
def test_a_killed_run_ends_with_the_same_weights(home: Path, arguments: list[str]):
    """SIGKILL in the eighth step, the middle of an epoch of three; the last save was after the fourth."""
    command = [*arguments, "loop.batch=2", "loop.max_steps=10", "loop.save_minutes=1e-9"]
    assert main([*command, "--name", "whole"]) == 0
    run, started = home / "runs/killed", time.monotonic()
    child = subprocess.Popen(
        [sys.executable, "-c", HANGS, *command, "--name", "killed"],
        cwd=ROOT,
        env=environment(torch.get_num_threads()),
        stderr=subprocess.DEVNULL,
    )
    while child.poll() is None and time.monotonic() - started < 120:
        if (run / "metrics.csv").exists() and len(curve(run)) == 7:
            break
        time.sleep(0.02)
    child.send_signal(signal.SIGKILL)
    assert child.wait(60) == -signal.SIGKILL
    assert read_state(run / "state.pt")["step"] == 4 and curve(run)[-1][0] == 7

    assert main([*command, "--name", "killed"]) == 0
    assert curve(run) == curve(home / "runs/whole") and len(curve(run)) == 10
    ours, theirs = read_state(run / "state.pt"), read_state(home / "runs/whole/state.pt")
    for part in ("step", "networks", "optimizers", "averages"):
        torch.testing.assert_close(ours[part], theirs[part], rtol=0, atol=0)


def together(command: list[str]) -> None:
    """The command under torchrun with two processes."""
    launcher = ["torch.distributed.run", "--standalone", "--local-addr", "127.0.0.1", "--nproc_per_node", "2"]
    result = subprocess.run(
        [sys.executable, "-m", *launcher, "-m", "ldm_core", *command],
        cwd=ROOT,
        env=environment(1),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert result.returncode == 0, result.stderr


def assert_same_curves(one: Path, two: Path, names: list[str]) -> None:
    """Within TOLERANCE, while the curve itself moves a hundred times as much: other samples would show."""
    for name in names:
        mine, other = curve(one, name), curve(two, name)
        assert [s for s, _ in mine] == [s for s, _ in other]
        values = [v for _, v in mine]
        np.testing.assert_allclose([v for _, v in other], values, rtol=TOLERANCE, atol=TOLERANCE, err_msg=name)
    first = [v for _, v in curve(one, names[0])]
    assert np.ptp(first) > 100 * TOLERANCE * np.abs(first).max()
    assert curve(one, "lr_factor") == curve(two, "lr_factor")
    assert len(list((two / "samples").iterdir())) == 1


@pytest.fixture
def fp32(monkeypatch: pytest.MonkeyPatch) -> None:
    """On any processor, here and in child processes: bf16 would round away the digits that are compared."""
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "no")


@pytest.mark.slow
@pytest.mark.usefixtures("fp32")
def test_two_processes_train_diffusion_as_one(home: Path, arguments: list[str]):
    """torchrun, two processes with gloo: the same curve and held-out losses as one process."""
    command = [*arguments, "loop.batch=8", "loop.max_steps=8", "loss.learn_logvar=true"]
    assert main([*command, "--name", "one"]) == 0
    together([*command, "--name", "two"])
    names = ["train/loss", "train/loss_simple", "train/logvar", "grad_norm", "val/loss_simple"]
    assert_same_curves(home / "runs/one", home / "runs/two", names)


@pytest.mark.slow
@pytest.mark.usefixtures("fp32")
def test_two_processes_train_an_autoencoder_as_one(home: Path):
    """Crops, backgrounds and the posterior's noise are the whole batch's."""
    small = [
        "preset=TINY",
        "crop=16",
        "whole_share=0.4",
        "loss.perceptual_trunk=",
        "loss.disc_ndf=4",
        "loss.kl_weight=0.01",
    ]
    settings = ["loop.batch=8", "loop.log_every=1", "loop.max_steps=8", "loop.warmup=2", "loop.lr=1e-3"]
    command = ["train", "autoencoder", "--corpus", str(home / "corpus"), "--device", "cpu", *small, *settings]
    assert main([*command, "--name", "one"]) == 0
    together([*command, "--name", "two"])
    names = ["train/rec_loss", "aeloss", "train/kl_loss", "grad_norm", "val/rec_loss"]
    assert_same_curves(home / "runs/one", home / "runs/two", names)


@pytest.mark.parametrize(("launcher", "precision"), [(None, "bf16"), ("no", "no")])
def test_the_launcher_decides_the_precision(monkeypatch: pytest.MonkeyPatch, launcher: str | None, precision: str):
    monkeypatch.setattr(loop, "bf16_is_faster", lambda: True)
    monkeypatch.delenv("ACCELERATE_MIXED_PRECISION", raising=False)
    if launcher is not None:
        monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", launcher)
    AcceleratorState._reset_state()
    assert make_accelerator(device="cpu").mixed_precision == precision


def test_half_precision_is_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "fp16")
    with pytest.raises(ValueError, match="training runs in bf16 or fp32, not fp16"):
        make_accelerator(device="cpu")


def test_a_share_is_even():
    whole = np.arange(12)
    parts = [whole[Share(i, 3).of(12)] for i in range(3)]
    assert np.array_equal(np.concatenate(parts), whole) and {len(p) for p in parts} == {4}
    with pytest.raises(ValueError, match="a batch of 7 cannot be shared by 2 processes"):
        Share(0, 2).of(7)


def test_a_contrast_needs_the_whole_batch(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert main(["train", "text", "--name", "x", "--device", "cpu"]) == 2
    assert "trains in one process" in capsys.readouterr().err
