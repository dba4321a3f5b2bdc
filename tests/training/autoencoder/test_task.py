from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from ldm_core.data.augment import random_crops
from ldm_core.images import Pixels, composite, to_tensor, to_uint8
from ldm_core.losses.autoencoder import AutoencoderLossConfig
from ldm_core.models.autoencoder import AutoencoderKL
from ldm_core.training.autoencoder.task import AutoencoderTask, AutoencoderTraining, initialise
from ldm_core.training.common.event_files import event_files, read_events
from ldm_core.training.common.loop import Loop, make_accelerator, start
from ldm_core.training.common.metric_log import MetricLog, read_metrics
from ldm_core.training.common.settings import LoopSettings, load_settings
from ldm_core.training.common.state import averaged_weights

TERMS = "total_loss logvar kl_loss nll_loss rec_loss d_weight disc_factor g_loss disc_loss logits_real logits_fake"
PUBLISHED = {"aeloss", "discloss", *(f"{split}/{term}" for split in ("train", "val") for term in TERMS.split(" "))}


@pytest.fixture(scope="module")
def drawings():
    rng = np.random.default_rng(0)
    pictures = np.zeros((12, 32, 32, 4), np.uint8)
    for p in pictures:
        p[4:28, 4:28] = [*rng.integers(0, 256, 3), 255]
    return pictures


def make_task(drawings: Pixels, disc_start: int = 4, max_steps: int = 6) -> AutoencoderTask:
    settings = AutoencoderTraining(
        preset="TINY",
        loop=LoopSettings(batch=2, lr=1e-3, max_steps=max_steps, warmup=2, log_every=1),
        loss=AutoencoderLossConfig(perceptual_trunk="", disc_start=disc_start, disc_ndf=4, disc_num_layers=1),
        crop=16,
        whole_share=0.3,
        validation=2,
    )
    draw = lambda rng, n: rng.integers(10, size=n)  # noqa: E731
    palette = np.array([[200, 30, 30]], np.uint8)
    return AutoencoderTask(settings, drawings, draw, np.array([10, 11]), palette, make_accelerator("no"))


def loop(task: AutoencoderTask, directory: Path) -> Loop:
    return Loop(task, task.settings.loop, directory, task.accelerator, tensorboard=False)


def test_resumed_run_equals_an_unbroken_one(drawings: Pixels, tmp_path: Path):
    one = make_task(drawings)
    loop(one, tmp_path / "one").run()
    assert loop(make_task(drawings), tmp_path / "two").run(until=3) == 3
    torch.manual_seed(99)
    two = make_task(drawings)
    resumed = loop(two, tmp_path / "two")
    assert resumed.step == 3
    resumed.run()
    for name in one.networks:
        a, b = (task.networks[name].state_dict() for task in (one, two))
        assert all(torch.equal(a[key], b[key]) for key in a)
    for a, b in zip(*(t.averages["first_stage_model"].shadow.values() for t in (one, two)), strict=True):
        assert torch.equal(a, b)
    curves = [read_metrics(tmp_path / n / "metrics.csv") for n in ("one", "two")]
    a, b = ([r[:3] for r in rows if "second" not in r[1]] for rows in curves)
    assert a == b


def test_metrics_hold_every_published_name(drawings: Pixels, tmp_path: Path):
    task = make_task(drawings)
    start(task, task.settings, tmp_path / "run", task.accelerator).run()
    names = {name for _, name, _, _ in read_metrics(tmp_path / "run" / "metrics.csv")}
    assert names >= PUBLISHED
    assert {"val/psnr", "val/ssim", "lr_factor", "samples_per_second"} <= names
    assert list((tmp_path / "run" / "samples").glob("*.png"))
    assert list((tmp_path / "run" / "events").iterdir())
    assert '"preset": "TINY"' in (tmp_path / "run" / "config.json").read_text()


def test_discriminator_is_untouched_before_disc_start(drawings: Pixels, tmp_path: Path):
    task = make_task(drawings, disc_start=4)
    before = {k: v.clone() for k, v in task.loss.discriminator.state_dict().items()}
    loop(task, tmp_path).run(until=4)
    assert all(torch.equal(v, before[k]) for k, v in task.loss.discriminator.state_dict().items())
    loop(task, tmp_path).run(until=5)
    assert any(not torch.equal(v, before[k]) for k, v in task.loss.discriminator.state_dict().items())


def test_sigterm_saves_and_stops(drawings: Pixels, tmp_path: Path):
    task = make_task(drawings, max_steps=1000)
    inner = task.step

    def step(n: int):
        if n == 2:
            os.kill(os.getpid(), signal.SIGTERM)
        return inner(n)

    task.step = step
    assert loop(task, tmp_path).run() == 3
    assert loop(make_task(drawings), tmp_path).step == 3
    assert not list(tmp_path.glob(".*"))


def test_nan_stops_the_run_and_is_not_saved(drawings: Pixels, tmp_path: Path):
    task = make_task(drawings)
    loop(task, tmp_path).run(until=2)
    good = (tmp_path / "state.pt").read_bytes()
    with torch.no_grad():
        task.autoencoder.decoder.conv_out.weight.fill_(float("nan"))
    run = loop(task, tmp_path / "other")
    with pytest.raises(FloatingPointError, match="aeloss is nan at step 0"):
        run.run()
    assert (tmp_path / "state.pt").read_bytes() == good
    assert not (tmp_path / "other" / "state.pt").exists()


def test_init_from_a_weights_file(drawings: Pixels, tmp_path: Path):
    task = make_task(drawings)
    torch.manual_seed(7)
    other = AutoencoderKL(task.settings.model)
    state = {f"first_stage_model.{k}": v for k, v in other.state_dict().items()}
    save_file({**state, "betas": torch.zeros(3)}, tmp_path / "w.safetensors")
    task.init_from(tmp_path / "w.safetensors")
    assert all(torch.equal(v, other.state_dict()[k]) for k, v in task.autoencoder.state_dict().items())
    loop(task, tmp_path / "run").run(until=0)
    exported = averaged_weights(tmp_path / "run", "first_stage_model")
    assert all(torch.equal(v, other.state_dict()[k]) for k, v in exported.items())
    save_file({"betas": torch.zeros(3)}, tmp_path / "empty.safetensors")
    with pytest.raises(ValueError, match="first_stage_model"):
        task.init_from(tmp_path / "empty.safetensors")


def test_lr_factor_shapes():
    trapezoid = LoopSettings(warmup=10, max_steps=100, cooldown=0.25)
    assert trapezoid.lr_factor(0, 0) == pytest.approx(0.1)
    assert trapezoid.lr_factor(50, 0) == 1
    assert trapezoid.lr_factor(90, 0) == pytest.approx(0.4)
    timed = LoopSettings(warmup=0, minutes=10, cooldown=0.5)
    assert timed.lr_factor(10**6, 60 * 7.5) == pytest.approx(0.5)
    assert LoopSettings(warmup=0, max_steps=100, schedule="cosine").lr_factor(50, 0) == pytest.approx(0.5)
    assert LoopSettings(warmup=0, schedule="constant").lr_factor(10**9, 1e9) == 1


def test_settings_from_file_and_overrides(tmp_path: Path):
    file = tmp_path / "c.toml"
    file.write_text('crop = 48\n[loop]\nlr = 1e-3\n[loss]\ndisc_loss = "vanilla"\n')
    s = load_settings(AutoencoderTraining, file, ["loop.lr=0.5", "loss.disc_loss=hinge", "loop.minutes=3"])
    assert (s.crop, s.loop.lr, s.loss.disc_loss, s.loop.minutes) == (48, 0.5, "hinge", 3)
    for bad in (["loop.nope=1"], ["crop"], ["loop.batch=0"]):
        with pytest.raises(ValueError):
            load_settings(AutoencoderTraining, file, bad)


@pytest.mark.parametrize("path", sorted(Path("configs").glob("autoencoder*.toml")), ids=lambda p: p.stem)
def test_shipped_configs_load(path: Path):
    assert load_settings(AutoencoderTraining, path).loop.batch > 0


def test_metric_log_drops_what_came_after_the_resumed_step(tmp_path: Path):
    for first in (0, 2):
        log = MetricLog(tmp_path, step=first)
        for step in range(first + 1, first + 4):
            log.log(step, step * 1.0, {"a": step / 3})
        log.close()
    assert [r[0] for r in read_metrics(tmp_path / "metrics.csv")] == [1, 2, 3, 4, 5]
    assert [r[0] for r in read_events(event_files(tmp_path / "events"))] == [1, 2, 3, 4, 5]


def test_composite_against_floats():
    rng = np.random.default_rng(0)
    rgba = rng.integers(0, 256, (3, 8, 8, 4), dtype=np.uint8)
    colour = rng.integers(0, 256, (3, 3), dtype=np.uint8)
    alpha = rgba[..., 3:] / 255
    exact = rgba[..., :3] * alpha + colour[:, None, None] * (1 - alpha)
    mixed = composite(rgba, colour)
    assert np.abs(mixed - exact).max() <= 0.5 + 1e-6
    assert np.array_equal(to_uint8(to_tensor(mixed)), mixed)


def test_crops_prefer_ink(drawings: Pixels):
    lonely = np.zeros((1, 64, 64, 4), np.uint8)
    lonely[0, :16, :16] = 255
    rng = np.random.default_rng(0)
    crops = random_crops(lonely, np.zeros(300, int), 16, rng)
    uniform = np.mean([(y < 16) & (x < 16) for y, x in rng.integers(49, size=(2000, 2))])
    assert (crops[..., 3] > 0).any(axis=(1, 2)).mean() > 2 * uniform


def test_initialised_blocks_start_as_the_identity():
    torch.manual_seed(0)
    model = AutoencoderKL(AutoencoderTraining(preset="TINY").model)
    initialise(model)
    x = torch.randn(1, 64, 8, 8)
    torch.testing.assert_close(model.decoder.mid(x), x)


def test_a_suspended_run_does_not_age(drawings: Pixels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    task, offset, clock = make_task(drawings), [0.0], time.monotonic
    monkeypatch.setattr("ldm_core.training.common.loop.time.monotonic", lambda: clock() + offset[0])
    inner = task.step

    def step(n: int):
        offset[0] += 3600.0 if n == 2 else 0.0
        return inner(n)

    task.step = step  # type: ignore[method-assign]
    run = loop(task, tmp_path)
    run.run(until=4)
    assert run.step == 4 and run.seconds < 300
