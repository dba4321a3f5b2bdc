"""A small model's rows are shared out among the cores, on torch one thread has them; or as many as are asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

import ldm_core
from ldm_core.checkpoint.state_dict_check import empty_model
from ldm_core.config import ModelConfig
from ldm_core.pipeline import Pipeline
from ldm_core.presets import EMOJI_128, SD_V1
from ldm_core.runtime import threads
from ldm_core.runtime.openvino import OpenVINORuntime
from ldm_core.runtime.threads import AGAIN, TRIAL, Sharing, is_small, torch_threads


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


@pytest.mark.parametrize(("config", "small"), [(EMOJI_128, True), (SD_V1, False)], ids=["embedded", "SD v1"])
def test_size_decides(config: ModelConfig, small: bool):
    assert is_small(empty_model(config)) == small


@pytest.mark.parametrize(
    ("quota", "most"), [("150000 100000", 2), ("50000 100000", 1), ("max 100000", None), ("", None)]
)
def test_a_container_s_quota_bounds_the_cores(
    quota: str, most: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "cpu.max").write_text(quota)
    monkeypatch.setattr(threads, "QUOTA", tmp_path / "cpu.max")
    monkeypatch.setattr(threads.os, "sched_getaffinity", lambda pid: set(range(64)))
    assert threads.cores() == (most or 64)


def test_rows_are_shared_out_while_that_is_quicker():
    sharing = Sharing(4)

    def calls(rows: int, seconds: dict[int, float], waking: float = 0.0) -> list[int]:
        chosen = [0]
        for _ in range(2 * AGAIN):
            threads = sharing.threads(rows)
            sharing.note(rows, threads, seconds[threads] + waking * (threads != chosen[-1]))
            chosen.append(threads)
        return chosen[1:]

    assert calls(4, {4: 0.03, 1: 0.1}, waking=0.2).count(4) >= 2 * AGAIN - 2 * TRIAL, "other cores sleep until asked"
    assert calls(4, {4: 0.2, 1: 0.1})[TRIAL:].count(1) >= 2 * AGAIN - 3 * TRIAL, "a busy machine"
    assert calls(4, {4: 0.03, 1: 0.1})[AGAIN:].count(4) >= AGAIN - TRIAL, "quiet again"
    assert set(calls(1, {1: 0.1})) == {1}
    assert set(calls(0, {1: 0.1})) == {1}
    assert set(calls(8, {4: 0.1})) == {4}, "several rows a thread are worth the wait"


@pytest.mark.parametrize(("cores", "alone"), [(2, 1.8), (16, 10.0)])
def test_looking_for_the_quicker_number_costs_little(cores: int, alone: float):
    """A call takes 1 on all cores, `alone` on one thread; a busy core doubles the one, and not the other."""
    sharing = Sharing(cores)

    def loss(calls: int, together: float, waking: float = 1.0) -> float:
        took, asleep = 0.0, False
        for _ in range(calls):
            threads = sharing.threads(cores)
            seconds = alone if threads == 1 else together + waking * asleep
            sharing.note(cores, threads, seconds)
            took, asleep = took + seconds, threads == 1
        return took / (calls * min(alone, together)) - 1

    assert loss(25, together=1.0) < 0.45, "the first picture: one call on one thread"
    assert loss(10_000, together=1.0) < 0.03
    assert loss(10_000, together=2.0) < 0.03, "a busy core"
    assert loss(10_000, together=1.0) < 0.03, "quiet again"


def test_an_old_time_of_one_thread_holds_not_for_good():
    sharing = Sharing(2)

    def calls(one: float, together: float) -> list[int]:
        chosen = []
        for _ in range(8 * AGAIN):
            chosen.append(sharing.threads(2))
            sharing.note(2, chosen[-1], one if chosen[-1] == 1 else together)
        return chosen

    calls(one=6.0, together=1.0)  # the first call makes its kernels, say
    assert calls(one=1.6, together=2.0).count(1) > 6 * AGAIN
    calls(one=0.5, together=1.0)
    assert calls(one=2.0, together=1.0).count(2) > 7 * AGAIN


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


@pytest.mark.skipif(threads.cores() < 2, reason="there is one core")
@pytest.mark.parametrize("asked", [1, 2])
def test_openvino_shares_a_small_model_s_rows_out_among_them(asked: int, cache: Path, tiny_weights: Path):
    pipe = ldm_core.load(tiny_weights, "cpu", "float32", "openvino", threads=asked)
    runtime = pipe._runtime
    assert isinstance(runtime, OpenVINORuntime)
    requests = runtime._requests["unet"]
    compiled = requests[0].get_compiled_model()
    assert [compiled.get_property(name) for name in ("INFERENCE_NUM_THREADS", "NUM_STREAMS")] == [asked, asked]
    pipe.generate("a red apple", steps=1, batch=2)  # four rows: each picture's with the prompt and without
    rows = [request.get_input_tensor(0).shape[0] for request in requests[:2]]
    assert rows == ([4] if asked == 1 else [2, 2])
    (decoder,) = runtime._requests["decoder"]
    assert decoder.get_compiled_model().get_property("INFERENCE_NUM_THREADS") == asked, "all work on one picture"
    assert decoder.get_input_tensor(0).shape[0] == 1


def test_the_picture_is_the_same_on_any_number_of_them(cache: Path, tiny_weights: Path):
    for dtype in ("float32", "bfloat16"):
        pipes = [ldm_core.load(tiny_weights, "cpu", dtype, "openvino", threads=n) for n in (1, 2)]
        one, two = [pipe.generate("a red apple", steps=2, batch=2) for pipe in pipes]
        assert (one == two).all()
