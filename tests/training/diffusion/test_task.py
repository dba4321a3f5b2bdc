from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

import ldm_core.presets as presets
from ldm_core.checkpoint.load import load_model
from ldm_core.images import composite, to_tensor
from ldm_core.losses.diffusion import DiffusionLossConfig
from ldm_core.models.autoencoder import AutoencoderKL
from ldm_core.models.text import FrozenCLIPEmbedder
from ldm_core.training.common.frozen_parts import encoder_state, find_run, load_autoencoder, weights_hash
from ldm_core.training.common.loop import Loop, make_accelerator, start
from ldm_core.training.common.metric_log import read_metrics
from ldm_core.training.common.settings import LoopSettings, load_settings
from ldm_core.training.diffusion.batches import Batch, Batches, CaptionedRows, drawing_batches
from ldm_core.training.diffusion.conditions import Condition, NoCondition
from ldm_core.training.diffusion.latents import build_cache, open_cache
from ldm_core.training.diffusion.settings import DiffusionTraining
from ldm_core.training.diffusion.task import DiffusionTask
from ldm_core.training.export import export
from tests.tiny import FREE

TINY = presets.TINY
PALETTE = {"white": (255, 255, 255), "red": (200, 30, 30), "blue": (20, 60, 200)}
ROWS = 12


@pytest.fixture(scope="module")
def autoencoder() -> AutoencoderKL:
    torch.manual_seed(0)
    return AutoencoderKL(TINY.first_stage).eval()


@pytest.fixture(scope="module")
def drawings() -> np.ndarray:
    rng = np.random.default_rng(0)
    pictures = np.zeros((ROWS, 32, 32, 4), np.uint8)
    for p in pictures:
        p[6:26, 6:26] = [*rng.integers(0, 256, 3), 255]
    return pictures


@pytest.fixture(scope="module")
def cache_dir(tmp_path_factory: pytest.TempPathFactory, autoencoder: AutoencoderKL, drawings: np.ndarray) -> Path:
    directory = tmp_path_factory.mktemp("latents")
    build_cache(directory, autoencoder, drawings, PALETTE, passes=2)
    return directory


class Words:
    """A stand-in for a text encoder that keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def read(self, prompts: Sequence[str]) -> torch.Tensor:
        self.asked += prompts
        return torch.tensor([float(len(p)) for p in prompts])

    def __call__(self, cond: torch.Tensor) -> torch.Tensor:
        return cond.view(-1, 1, 1).expand(-1, 5, 32)


def make_task(
    cache_dir: Path,
    decoder: AutoencoderKL,
    condition: Condition | None = None,
    preset: str = "TINY",
    **changes: object,
) -> DiffusionTask:
    loop = LoopSettings(batch=4, lr=1e-3, max_steps=6, warmup=2, log_every=1)
    settings = DiffusionTraining(
        preset=preset,
        loop=loop,
        validation=4,
        sample_steps=2,
        prompts=("a", "bb"),
        **changes,  # type: ignore[arg-type]
    )
    rows = CaptionedRows(
        lambda rng, n: rng.integers(8, size=n),
        lambda row, rng, ground: f"{row} {ground} {rng.integers(3)}",
        np.arange(8, ROWS),
    )
    accelerator, condition = make_accelerator("no"), condition or Words()
    batches = drawing_batches(settings, open_cache(cache_dir), rows, condition, accelerator)
    return DiffusionTask(settings, batches, condition, decoder, accelerator)


def loop(task: DiffusionTask, directory: Path) -> Loop:
    return Loop(task, task.settings.loop, directory, task.accelerator, tensorboard=False)


def test_cache_holds_the_posteriors(cache_dir: Path, autoencoder: AutoencoderKL, drawings: np.ndarray):
    cache = open_cache(cache_dir)
    assert cache.names[0] == "white" and len(cache.moments) == 2
    assert (cache.backgrounds[0] == 0).all() and (cache.backgrounds[1] > 0).all()
    colours = np.array([PALETTE[cache.names[b]] for b in cache.backgrounds[1]], np.uint8)
    with torch.no_grad():
        posterior = autoencoder.encode(to_tensor(composite(drawings, colours)))
    noise = torch.randn(ROWS, 4, 16, 16, generator=torch.Generator().manual_seed(0))
    z = cache.sample(np.arange(ROWS), np.ones(ROWS, int), noise)
    torch.testing.assert_close(z, cache.scale_factor * (posterior.mean + posterior.std * noise), atol=5e-3, rtol=5e-3)
    assert float(
        torch.from_numpy(np.array(cache.moments[0][:, 0], np.float32)).std()
    ) * cache.scale_factor == pytest.approx(1, rel=1e-3)


def test_cache_goes_on_where_it_stopped(
    tmp_path: Path, cache_dir: Path, autoencoder: AutoencoderKL, drawings: np.ndarray
):
    build_cache(tmp_path, autoencoder, drawings, PALETTE, passes=1)
    assert len(open_cache(tmp_path).moments) == 1
    before = (tmp_path / "pass-0.npy").stat().st_mtime_ns
    build_cache(tmp_path, autoencoder, drawings, PALETTE, passes=2)
    assert (tmp_path / "pass-0.npy").stat().st_mtime_ns == before
    for n in range(2):
        assert np.array_equal(np.load(tmp_path / f"pass-{n}.npy"), np.load(cache_dir / f"pass-{n}.npy"))


def test_cache_of_another_encoder_is_refused(cache_dir: Path, drawings: np.ndarray):
    with pytest.raises(ValueError, match="another encoder"):
        build_cache(cache_dir, AutoencoderKL(TINY.first_stage), drawings, PALETTE, passes=1)
    with pytest.raises(ValueError, match="no latents"):
        open_cache(cache_dir / "nowhere")


def test_cache_of_another_corpus_is_refused(cache_dir: Path, autoencoder: AutoencoderKL, drawings: np.ndarray):
    with pytest.raises(ValueError, match="another corpus"):
        build_cache(cache_dir, autoencoder, drawings[1:], PALETTE, passes=1)


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_resumed_run_equals_an_unbroken_one(
    cache_dir: Path, autoencoder: AutoencoderKL, tmp_path: Path, optimizer: str
):
    one = make_task(cache_dir, autoencoder, optimizer=optimizer)
    loop(one, tmp_path / "one").run()
    loop(make_task(cache_dir, autoencoder, optimizer=optimizer), tmp_path / "two").run(until=3)
    two = make_task(cache_dir, autoencoder, optimizer=optimizer)
    loop(two, tmp_path / "two").run()
    for a, b in zip(one.unet.state_dict().values(), two.unet.state_dict().values(), strict=True):
        assert torch.equal(a, b)
    for a, b in zip(*(t.averages["model"].shadow.values() for t in (one, two)), strict=True):
        assert torch.equal(a, b)


def test_muon_takes_the_matrices_between_the_ends_and_adam_the_rest(cache_dir: Path, autoencoder: AutoencoderKL):
    task = make_task(cache_dir, autoencoder, optimizer="muon")
    held = {name: [p for g in o.param_groups for p in g["params"]] for name, o in task.optimizers.items()}
    names = {id(p): name for name, p in task.unet.named_parameters()}
    assert len(held["unet"]) + len(held["muon"]) == len(names)
    assert all(p.ndim >= 2 for p in held["muon"])
    outside = {names[id(p)] for p in held["unet"] if p.ndim >= 2}
    assert outside == {"diffusion_model.input_blocks.0.0.weight", "diffusion_model.out.2.weight"}
    with pytest.raises(ValueError, match="optimizer must be adamw or muon"):
        DiffusionTraining(optimizer="sgd")  # type: ignore[arg-type]


def test_an_untrained_unet_says_zero(cache_dir: Path, autoencoder: AutoencoderKL):
    task = make_task(cache_dir, autoencoder)
    x = torch.randn(2, 4, 16, 16)
    out = task.unet(x, torch.tensor([1, 900]), c_crossattn=[torch.randn(2, 5, 32)])
    assert (out == 0).all()
    assert float(task.unet.diffusion_model.input_blocks[0](x, None, None).std()) == pytest.approx(1.0, rel=0.1)


def test_metrics_bins_and_samples(cache_dir: Path, autoencoder: AutoencoderKL, tmp_path: Path):
    task = make_task(cache_dir, autoencoder, loss=DiffusionLossConfig(learn_logvar=True))
    start(task, task.settings, tmp_path / "run", task.accelerator).run()
    names = {name for _, name, _, _ in read_metrics(tmp_path / "run" / "metrics.csv")}
    assert names >= {f"{split}/{n}" for split in ("train", "val") for n in ("loss_simple", "loss_vlb", "loss")}
    assert any(n.startswith("val/bin_") for n in names)
    assert list((tmp_path / "run" / "samples").glob("*.png"))
    assert float(task.loss.logvar.detach().abs().max()) > 0


def test_captions_name_the_background_that_was_drawn(cache_dir: Path, autoencoder: AutoencoderKL):
    words = Words()
    task = make_task(cache_dir, autoencoder, words, white_share=0.5, caption_dropout=0.0)
    rows, cache = np.arange(8), open_cache(cache_dir)
    task.batches.of(rows, np.random.default_rng(0))
    for row, prompt in zip(rows, words.asked, strict=True):
        ground = prompt.split(" ")[1]
        assert ground in ("white", cache.names[cache.backgrounds[1, row]])


def test_dropped_captions_become_the_empty_prompt(cache_dir: Path, autoencoder: AutoencoderKL):
    task = make_task(cache_dir, autoencoder, caption_dropout=0.5)
    words: Words = task.condition  # type: ignore[assignment]
    batch = task.batches.of(np.zeros(400, int), np.random.default_rng(0))
    assert 0.4 < words.asked.count("") / 400 < 0.6
    assert torch.equal(batch.cond == 0, torch.tensor([p == "" for p in words.asked]))


def test_processes_draw_the_batches_that_the_training_would(cache_dir: Path, autoencoder: AutoencoderKL):
    alone, served = (make_task(cache_dir, autoencoder, workers=n) for n in (0, 2))
    for step in (0, 1, 2, 7, 8, 1):  # a resumed run begins anywhere
        for a, b in zip(alone.batch(step)[:4], served.batch(step)[:4], strict=True):
            assert torch.equal(a, b)


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_are_drawn_ahead_up_to_what_is_missing(
    cache_dir: Path, autoencoder: AutoencoderKL, monkeypatch: pytest.MonkeyPatch, workers: int
):
    task, written, draw = make_task(cache_dir, autoencoder, workers=workers), [2], Batches.__getitem__
    expected = [task.batches[step] for step in range(5)]

    def there(batches: Batches, step: int) -> Batch:
        assert step < written[0]
        return draw(batches, step)

    monkeypatch.setattr(Batches, "missing", lambda _, step: None if step < written[0] else "a chunk")
    monkeypatch.setattr(Batches, "__getitem__", there)
    for step, batch in enumerate(expected):
        written[0] = 2 if step < 2 else 5
        for a, b in zip(task.batch(step)[:4], batch[:4], strict=True):
            assert torch.equal(a, b)


def test_timesteps_are_uniform_and_stratified(cache_dir: Path, autoencoder: AutoencoderKL):
    task = make_task(cache_dir, autoencoder)
    batch = task.batches.of(np.zeros(100, int), np.random.default_rng(0))
    assert torch.equal(torch.sort(batch.t).values // 10, torch.arange(100))


def test_three_runs_become_one_file(
    cache_dir: Path, autoencoder: AutoencoderKL, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("LATENT_LAB_RUNS", str(tmp_path))
    text = FrozenCLIPEmbedder(TINY.text)
    clip = {k.removeprefix("transformer."): v for k, v in text.state_dict().items()}
    head = {"step": 1, "seconds": 60.0, "averages": {}}
    for name, part, state in (("ae", "first_stage_model", autoencoder.state_dict()), ("text", "clip", clip)):
        (tmp_path / name).mkdir()
        torch.save({**head, "networks": {part: state}}, tmp_path / name / "state.pt")
    task = make_task(cache_dir, autoencoder)
    start(task, task.settings, tmp_path / "diff", task.accelerator).run(until=2)

    runs = [find_run(n) for n in ("ae", "text", "diff")]
    config = export(*runs[:2], runs[2:], cache_dir, tmp_path / "out.safetensors")
    loaded = load_model(tmp_path / "out.safetensors")
    assert loaded.config == config
    assert (config.parameterization, config.scale_factor) == ("v", open_cache(cache_dir).scale_factor)
    assert config.frozen["encoder"] == weights_hash(encoder_state(loaded.model.first_stage_model))
    assert config.frozen["cond_stage_model"] == weights_hash(loaded.model.cond_stage_model.state_dict())
    shadow = task.averages["model"].shadow["diffusion_model.out.2.bias"]
    torch.testing.assert_close(loaded.model.model.diffusion_model.out[2].bias.float(), shadow, atol=1e-4, rtol=1e-3)

    other = make_task(cache_dir, autoencoder)
    other.init_from(tmp_path / "out.safetensors")
    torch.testing.assert_close(other.unet.diffusion_model.out[2].bias, shadow, atol=1e-4, rtol=1e-3)
    with pytest.raises(ValueError, match="predicts v and this run eps: set parameterization=v"):
        make_task(cache_dir, autoencoder, parameterization="eps").init_from(tmp_path / "out.safetensors")
    again = load_autoencoder(tmp_path / "out.safetensors", TINY.first_stage)
    assert weights_hash(again.state_dict()) == weights_hash(autoencoder.state_dict())


def test_states_of_a_run_become_their_mean(
    cache_dir: Path, autoencoder: AutoencoderKL, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("LATENT_LAB_RUNS", str(tmp_path))
    monkeypatch.setitem(presets.PRESETS, "FREE", FREE)
    (tmp_path / "ae").mkdir()
    state = {"step": 1, "seconds": 60.0, "averages": {}, "networks": {"first_stage_model": autoencoder.state_dict()}}
    torch.save(state, tmp_path / "ae" / "state.pt")
    task = make_task(cache_dir, autoencoder, preset="FREE", condition=NoCondition())
    name, shadows = "diffusion_model.out.2.bias", []
    for until, folder in ((2, "diff"), (4, "diff")):
        start(task, task.settings, tmp_path / folder, task.accelerator).run(until=until)
        shadows.append(task.averages["model"].shadow[name].clone())
        shutil.copytree(tmp_path / folder, tmp_path / f"after-{until}")
    export(find_run("ae"), None, [find_run("after-2"), find_run("after-4")], cache_dir, tmp_path / "mean.safetensors")
    found = load_model(tmp_path / "mean.safetensors").model.model.diffusion_model.out[2].bias.float()
    torch.testing.assert_close(found, (shadows[0] + shadows[1]) / 2, atol=1e-6, rtol=1e-3)
    assert not torch.allclose(shadows[0], shadows[1], rtol=1e-2)


def test_find_run_says_where_it_looked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("LATENT_LAB_RUNS", str(tmp_path))
    with pytest.raises(ValueError, match="nope"):
        find_run("nope")


def test_shipped_config_loads():
    settings = load_settings(DiffusionTraining, Path("configs/diffusion.toml"))
    assert settings.optimizer == "muon" and json.dumps(settings.prompts)
