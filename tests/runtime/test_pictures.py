"""Whole pictures on each runtime: the same alone and in a crowd, and there even where a runtime breaks."""

from __future__ import annotations

import logging
import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

import ldm_core
from ldm_core.checkpoint import CheckpointError, save_model
from ldm_core.pipeline import Pipeline, finish
from ldm_core.presets import TINY
from ldm_core.runtime.base import RuntimeFailed
from ldm_core.runtime.openvino import OpenVINORuntime
from ldm_core.runtime.torch import TorchRuntime
from tests.tiny import tiny_model

SETTINGS = {"steps": 4, "guidance_scale": 3.0, "seed": 11}


def load(weights: Path, runtime: str, dtype: str = "float32") -> Pipeline:
    return ldm_core.load(weights, "cpu", dtype, runtime)


def test_auto_takes_the_cached_graphs_and_says_so(cache: Path, tiny_weights: Path):
    assert load(tiny_weights, "auto").runtime == "openvino"
    assert load(tiny_weights, "torch").runtime == "torch"


def test_auto_without_a_cache_is_torch(tiny_weights: Path):
    assert load(tiny_weights, "auto").runtime == "torch"


def test_openvinos_picture_is_torchs(cache: Path, tiny_weights: Path):
    ours, torchs = (load(tiny_weights, name).generate("a red apple", **SETTINGS) for name in ("openvino", "torch"))
    assert np.abs(ours.astype(int) - torchs.astype(int)).max() <= 1


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_picture_is_bit_equal_alone_and_in_a_crowd_on_openvino(cache: Path, tiny_weights: Path, dtype: str):
    pipe = load(tiny_weights, "openvino", dtype)
    crowd = pipe.generate("a red apple", batch=5, **SETTINGS)
    alone = pipe.generate("a red apple", **{**SETTINGS, "seed": 13})
    np.testing.assert_array_equal(crowd[2], alone[0])


def test_picture_is_within_a_level_alone_and_in_a_crowd_on_torch(tiny_weights: Path):
    pipe = load(tiny_weights, "torch")
    crowd = pipe.generate("a red apple", batch=5, **SETTINGS)
    alone = pipe.generate("a red apple", **{**SETTINGS, "seed": 13})
    assert np.abs(crowd[2].astype(int) - alone[0].astype(int)).max() <= 1


@pytest.mark.parametrize("broken", ["unet", "decode", "encode_text"])
def test_runtime_that_breaks_still_gives_the_picture(
    cache: Path, tiny_weights: Path, broken: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    expected = load(tiny_weights, "torch").generate("a red apple", **SETTINGS)
    real, calls = getattr(OpenVINORuntime, broken), []

    def breaks(self: OpenVINORuntime, *arguments: torch.Tensor) -> torch.Tensor:
        calls.append(arguments)
        if len(calls) == (3 if broken == "unet" else 1):
            raise RuntimeFailed("OpenVINO broke")
        return real(self, *arguments)

    monkeypatch.setattr(OpenVINORuntime, broken, breaks)
    calls.append(())  # the parity check's call must not be the one that breaks
    pipe = load(tiny_weights, "openvino")
    calls.clear()
    with caplog.at_level(logging.WARNING, "ldm_core"):
        np.testing.assert_array_equal(pipe.generate("a red apple", **SETTINGS), expected)
    assert [record.message for record in caplog.records] == ["OpenVINO broke; the picture starts again on torch"]


def test_nan_from_the_decoder_is_decoded_again_in_fp32(
    cache: Path, tiny_weights: Path, monkeypatch: pytest.MonkeyPatch
):
    pipe = load(tiny_weights, "openvino", "bfloat16")
    z = finish(pipe.stream("a red apple", **SETTINGS))
    exact = TorchRuntime(pipe.model).decode_in_float32(z)
    monkeypatch.setattr(OpenVINORuntime, "decode", lambda self, z: torch.full_like(exact, float("nan")))
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        image = pipe.decode(z)
    assert any("decoded again in float32" in str(warning.message) for warning in told)
    np.testing.assert_array_equal(image, ((exact.clamp(-1, 1) + 1) * 127.5).round().byte().permute(0, 2, 3, 1).numpy())
    assert next(pipe.model.parameters()).dtype == torch.bfloat16


def test_large_picture_is_decoded_in_tiles(tiny_weights: Path, monkeypatch: pytest.MonkeyPatch):
    pipe = load(tiny_weights, "torch")
    f, sides = pipe.config.first_stage.downsampling, []
    real = TorchRuntime.decode

    def decode(self: TorchRuntime, z: torch.Tensor) -> torch.Tensor:
        sides.append(max(z.shape[-2:]) * f)
        return real(self, z)

    monkeypatch.setattr(TorchRuntime, "decode", decode)
    assert pipe.decode(torch.zeros(1, 4, 800 // f, 32 // f)).shape == (1, 800, 32, 3)
    assert len(sides) > 1 and max(sides) == 512
    sides.clear()
    pipe.decode(torch.zeros(1, 4, 768 // f, 32 // f))
    assert sides == [768]


def test_the_modules_leave_memory_and_come_back_from_the_file(cache: Path, tiny_weights: Path):
    pipe, torchs = (load(tiny_weights, name) for name in ("openvino", "torch"))
    assert pipe._reloadable._model is None
    before = pipe.generate("a red apple", **SETTINGS)
    assert pipe._reloadable._model is None, "a picture does not ask for them"
    for name, weight in pipe.model.state_dict().items():
        assert torch.equal(weight, torchs.model.state_dict()[name]), name
    assert not any(parameter.requires_grad for parameter in pipe.model.parameters())
    assert np.array_equal(pipe.generate("a red apple", **SETTINGS), before)


def test_modules_of_a_file_that_has_changed_are_refused(cache: Path, tiny_weights: Path, tmp_path: Path):
    path = tmp_path / "tiny.safetensors"
    shutil.copy(tiny_weights, path)
    pipe = load(path, "openvino")
    save_model(tiny_model(seed=1), TINY, path, "float32")
    with pytest.raises(CheckpointError, match="has changed since it was loaded"):
        _ = pipe.model
    assert pipe.generate("a red apple", **SETTINGS).any(), "its graphs are still there"
