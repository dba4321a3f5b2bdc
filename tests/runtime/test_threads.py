"""One thread for a small model, every core for a large one, unless a number is asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

import ldm_core
from ldm_core.checkpoint.state_dict_check import empty_model
from ldm_core.config import EMOJI_128, SD_V1, ModelConfig
from ldm_core.pipeline import Pipeline
from ldm_core.runtime.openvino import OpenVINORuntime
from ldm_core.runtime.threads import default_threads, torch_threads


@pytest.fixture
def three() -> Iterator[None]:
    """A process whose torch computes on three threads."""
    with torch_threads(3):
        yield


def seen(pipe: Pipeline, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Torch's number of threads at every call of a network, a list that grows."""
    found = list[int]()
    for name in ("apply_model", "decode_first_stage"):
        real = getattr(pipe.model, name)

        def call(*args: torch.Tensor, real: Callable[..., torch.Tensor] = real) -> torch.Tensor:
            found.append(torch.get_num_threads())
            return real(*args)

        monkeypatch.setattr(pipe.model, name, call)
    return found


@pytest.mark.parametrize(("config", "threads"), [(EMOJI_128, 1), (SD_V1, None)], ids=["embedded", "SD v1"])
def test_size_decides(config: ModelConfig, threads: int | None):
    assert default_threads(empty_model(config)) == threads


@pytest.mark.parametrize(("asked", "expected"), [(None, 1), (2, 2)])
def test_torch_computes_on_them_and_gives_the_process_its_own_back(
    asked: int | None, expected: int, three: None, tiny_weights: Path, monkeypatch: pytest.MonkeyPatch
):
    pipe = ldm_core.load(tiny_weights, "cpu", "float32", "torch", threads=asked)
    found = seen(pipe, monkeypatch)
    pipe.generate("a red apple", steps=2)
    assert found == [expected] * 3
    assert torch.get_num_threads() == 3


def test_torch_that_takes_over_keeps_what_was_asked_for(
    three: None, cache: Path, tiny_weights: Path, monkeypatch: pytest.MonkeyPatch
):
    pipe = ldm_core.load(tiny_weights, "cpu", "float32", "openvino", threads=2).with_runtime()
    found = seen(pipe, monkeypatch)
    pipe.generate("a red apple", steps=2)
    assert found == [2] * 3


@pytest.mark.parametrize(("asked", "expected"), [(None, 1), (2, 2)])
def test_openvino_computes_on_them(asked: int | None, expected: int, cache: Path, tiny_weights: Path):
    runtime = ldm_core.load(tiny_weights, "cpu", "float32", "openvino", threads=asked)._runtime
    assert isinstance(runtime, OpenVINORuntime)
    compiled = runtime._requests["unet"].get_compiled_model()
    assert compiled.get_property("INFERENCE_NUM_THREADS") == expected
