"""`auto` takes OpenVINO where its graphs are ready and right; what fails is said once and torch goes on."""

from __future__ import annotations

import logging
import shutil
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from unittest.mock import Mock

import pytest
import torch

from ldm_core.devices import OutOfMemory
from ldm_core.runtime import convert, openvino
from ldm_core.runtime.base import RuntimeFailed, RuntimeUnavailable, check_parity
from ldm_core.runtime.choose import choose
from ldm_core.runtime.torch import TorchRuntime
from tests.runtime.conftest import candidate


@pytest.fixture
def own_copy(graphs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache with the tiny model's graphs that may be damaged; the folder of its one entry."""
    root = tmp_path / "cache"
    shutil.copytree(graphs, root)
    root.chmod(0o700)
    monkeypatch.setenv("LATENT_LAB_CACHE", str(root))
    entry = next(entry for entry in root.iterdir() if entry.is_dir())
    monkeypatch.setattr(convert, "start", lambda *_: shutil.copytree(graphs / entry.name, entry))  # in no time
    monkeypatch.setattr(convert, "finish", lambda _made: None)
    return entry


def test_torch_is_torch_whatever_the_cache_has(cache: Path, tiny_weights: Path):
    assert choose("torch", candidate(tiny_weights)).name == "torch"


def test_auto_without_graphs_is_torch_with_one_line(
    tmp_path: Path, tiny_weights: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setenv("LATENT_LAB_CACHE", str(tmp_path / "empty"))
    with caplog.at_level(logging.INFO, "ldm_core"):
        assert choose("auto", candidate(tiny_weights)).name == "torch"
    assert len(caplog.records) == 1


def test_unknown_name_is_refused(tiny_weights: Path):
    with pytest.raises(ValueError, match="one of auto, torch, openvino"):
        choose("onnx", candidate(tiny_weights))


def test_half_precision_stays_on_torch_and_a_demand_says_why(cache: Path, tiny_weights: Path):
    made = candidate(tiny_weights, torch.float16)
    assert choose("auto", made).name == "torch"
    with pytest.raises(RuntimeUnavailable, match="float16"):
        choose("openvino", made)


def test_without_the_package_auto_is_torch(cache: Path, tiny_weights: Path, monkeypatch: pytest.MonkeyPatch):
    def not_found(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(openvino, "version", not_found)
    assert choose("auto", candidate(tiny_weights)).name == "torch"
    with pytest.raises(RuntimeUnavailable, match="not installed"):
        choose("openvino", candidate(tiny_weights))


def test_graphs_of_other_weights_are_refused_and_made_anew(
    own_copy: Path, tiny_weights: Path, caplog: pytest.LogCaptureFixture
):
    """Every file is whole and compiles: only the parity check can see it."""
    made = candidate(tiny_weights)
    other = candidate(tiny_weights)
    other.model.model.diffusion_model.out[2].weight.mul_(1.01)
    with caplog.at_level(logging.INFO, "ldm_core"):
        assert choose("auto", other).name == "torch"
    assert "unet differs from torch's" in caplog.text
    assert not own_copy.exists()
    assert choose("openvino", made).name == "openvino"


@pytest.mark.parametrize("damage", ["unet.xml", "compiled"])
def test_unreadable_files_are_made_anew(own_copy: Path, tiny_weights: Path, damage: str):
    if damage == "compiled":
        choose("auto", candidate(tiny_weights))
        blobs = [f for f in (own_copy / f"compiled-{openvino.processor()}").rglob("*") if f.is_file()]
        assert blobs
    else:
        blobs = [own_copy / damage]
    for blob in blobs:
        blob.write_bytes(bytes(blob.stat().st_size))
    assert choose("openvino", candidate(tiny_weights)).name == "openvino"


@pytest.mark.parametrize(
    ("fault", "kept"),
    [
        (RuntimeFailed("OpenVINO's unet failed"), False),
        (KeyError("decoder"), False),
        (OutOfMemory("out of memory in OpenVINO's unet"), True),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), True),
    ],
    ids=lambda fault: type(fault).__name__,
)
def test_what_breaks_inside_the_check_leaves_torch(
    own_copy: Path, tiny_weights: Path, monkeypatch: pytest.MonkeyPatch, fault: Exception, kept: bool
):
    """Graphs that are not to blame stay."""
    monkeypatch.setattr(openvino.OpenVINORuntime, "unet", Mock(side_effect=fault))
    assert choose("auto", candidate(tiny_weights)).name == "torch"
    assert own_copy.exists() == kept
    with pytest.raises(RuntimeUnavailable):
        choose("openvino", candidate(tiny_weights))


def test_parity_check_sees_one_changed_layer(tiny_weights: Path):
    exact, changed = (TorchRuntime(candidate(tiny_weights).model) for _ in range(2))
    check_parity(exact, exact, exact.model.config, torch.float32)
    changed.model.model.diffusion_model.out[2].weight.mul_(1.001)
    with pytest.raises(RuntimeUnavailable, match="unet differs"):
        check_parity(changed, exact, exact.model.config, torch.float32)
