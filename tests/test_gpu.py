"""What a GPU computes is what a processor computes; skipped where there is none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from accelerate.state import AcceleratorState

import ldm_core.presets as presets
from ldm_core.devices import OutOfMemory, memory_guard
from ldm_core.models.autoencoder import AutoencoderKL
from ldm_core.pipeline import Pipeline, load
from ldm_core.training.common.loop import make_accelerator
from ldm_core.training.common.muon import orthogonal
from ldm_core.training.common.settings import LoopSettings
from ldm_core.training.diffusion.batches import CaptionedRows, drawing_batches
from ldm_core.training.diffusion.conditions import NoCondition
from ldm_core.training.diffusion.latents import build_cache, open_cache
from ldm_core.training.diffusion.settings import DiffusionTraining
from ldm_core.training.diffusion.task import DiffusionTask
from tests.tiny import FREE

pytestmark = pytest.mark.gpu
WEIGHTS = Path(__file__).parents[1] / "weights" / "emoji-128.safetensors"
PROMPT = "red apple, noto style"


@pytest.fixture(autouse=True)
def exact_products(monkeypatch: pytest.MonkeyPatch) -> None:
    """No TF32: the two sides are to differ by the order of sums alone."""
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)


def drawn(device: str, dtype: str, **options: object) -> np.ndarray:
    return load(WEIGHTS, device, dtype).generate(PROMPT, steps=8, seed=3, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(("dtype", "typical"), [("float32", 0.05), ("float16", 1.0), ("bfloat16", 6.0)])
@pytest.mark.parametrize("sampler", ["ddim", "dpmpp_2m"])
def test_pictures_are_those_of_the_processor(dtype: str, typical: float, sampler: str):
    """A seed's noise is drawn on the processor: the picture is the same wherever it is made."""
    ours, expected = (drawn(*where, sampler=sampler).astype(int) for where in (("cuda", dtype), ("cpu", "float32")))
    assert np.abs(ours - expected).mean() < typical
    assert expected.std() > 20


def test_auto_is_the_gpu_in_half_precision():
    pipe: Pipeline = load(WEIGHTS)
    assert pipe.device.type == "cuda" and pipe.dtype is torch.float16


def test_a_full_memory_is_one_sentence_and_leaves_room():
    pipe = load(WEIGHTS, "cuda")
    with pytest.raises(OutOfMemory, match="out of memory while measuring"), memory_guard("measuring"):
        torch.empty(2**45, device="cuda")
    assert pipe.generate(PROMPT, steps=8).std() > 20


@pytest.mark.parametrize("shape", [(3, 24, 60), (2, 60, 24)])
def test_muons_iteration(shape: tuple[int, int, int]):
    matrices = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(orthogonal(matrices.cuda()).cpu(), orthogonal(matrices), atol=1e-3, rtol=1e-3)


def test_three_steps_of_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The GPU's run encodes its latents and draws its batches in two processes; its losses are the processor's."""
    sides = []
    for device in ("cpu", "cuda"):  # one after the other: accelerate has one device at a time
        task = training(tmp_path / device, monkeypatch, device)
        latents = task.cache.moments[0].astype(float)
        figures = [{k: float(v) for k, v in task.step(i).items()} for i in range(3)]
        sides.append((latents, [*figures, task.validate(3)], task.sample()))
    (latents, figures, picture), (found_latents, found_figures, found_picture) = sides
    np.testing.assert_allclose(found_latents, latents, atol=5e-3)
    for found, expected in zip(found_figures, figures, strict=True):
        assert found == pytest.approx(expected, rel=5e-3)
    assert picture is not None and found_picture is not None
    assert np.abs(found_picture.astype(int) - picture).mean() < 2


def training(folder: Path, monkeypatch: pytest.MonkeyPatch, device: str) -> DiffusionTask:
    """A tiny run without text on random drawings."""
    monkeypatch.setitem(presets.PRESETS, "FREE", FREE)
    AcceleratorState._reset_state(reset_partial_state=True)  # accelerate keeps a process to its first device
    torch.manual_seed(0)
    autoencoder = AutoencoderKL(FREE.first_stage).eval().to(device)
    drawings = np.random.default_rng(0).integers(0, 256, (6, 32, 32, 4), np.uint8)
    build_cache(folder, autoencoder, drawings, {"white": (255, 255, 255)}, 1, device)
    settings = DiffusionTraining(
        preset="FREE",
        optimizer="muon",
        workers=2 if device == "cuda" else 0,
        loop=LoopSettings(batch=4, lr=1e-3, warmup=1),
        validation=2,
        sample_steps=3,
        prompts=("",),
    )
    rows = CaptionedRows(lambda rng, n: rng.integers(4, size=n), lambda row, rng, ground: "", np.arange(4, 6))
    accelerator, condition = make_accelerator("no", device), NoCondition(device)
    batches = drawing_batches(settings, open_cache(folder), rows, condition, accelerator)
    return DiffusionTask(settings, batches, condition, autoencoder, accelerator)
