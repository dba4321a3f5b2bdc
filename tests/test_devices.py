"""Device and precision by name, and one face for a full memory."""

from __future__ import annotations

import weakref

import pytest
import torch
from accelerate.state import AcceleratorState

from ldm_core import devices
from ldm_core.devices import (
    OutOfMemory,
    claim_devices,
    is_lost,
    memory_guard,
    parse_devices,
    resolve_device,
    resolve_dtype,
)
from ldm_core.training.common.loop import make_accelerator


def test_auto_is_the_best_there_is():
    device = resolve_device("auto")
    assert device.type == (
        "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    )
    assert resolve_dtype("auto", torch.device("cuda")) is torch.float16
    assert resolve_dtype("auto", torch.device("mps")) is torch.float16


@pytest.mark.parametrize(
    ("has_it", "seconds", "faster"), [(True, 0.1, True), (True, 0.9, False), (True, 1.9, False), (False, 0.1, False)]
)
def test_a_processor_computes_in_bf16_where_that_is_faster(
    monkeypatch: pytest.MonkeyPatch, has_it: bool, seconds: float, faster: bool
):
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: has_it)
    monkeypatch.setattr(devices, "_product_seconds", {torch.bfloat16: seconds, torch.float32: 1.0}.__getitem__)
    monkeypatch.delenv("ACCELERATE_MIXED_PRECISION", raising=False)
    devices.bf16_is_faster.cache_clear()
    AcceleratorState._reset_state()
    try:
        assert resolve_dtype("auto", torch.device("cpu")) is (torch.bfloat16 if faster else torch.float32)
        assert make_accelerator(device="cpu").mixed_precision == ("bf16" if faster else "no")
    finally:
        devices.bf16_is_faster.cache_clear()
        AcceleratorState._reset_state()


@pytest.mark.parametrize("name", ["gpu", "cuda:99", ""])
def test_no_such_device(name: str):
    with pytest.raises(ValueError, match=r"^device '.*' is not"):
        resolve_device(name)


def test_a_device_that_torch_knows_and_nothing_here_runs_on():
    with pytest.raises(ValueError, match="device 'xpu' is none that this program runs on"):
        resolve_device("xpu")


@pytest.fixture
def four_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with four CUDA devices, as far as counting goes."""
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)


@pytest.mark.usefixtures("four_gpus")
@pytest.mark.parametrize(
    ("text", "devices"),
    [
        ("0,", ["cuda:0"]),
        ("0,1", ["cuda:0", "cuda:1"]),
        ("3, 1,", ["cuda:3", "cuda:1"]),
        ("cuda:1", ["cuda:1"]),
        ("cuda:2,cuda:0", ["cuda:2", "cuda:0"]),
        ("cpu", ["cpu"]),
        ("auto", ["cuda"]),
    ],
)
def test_devices_by_number_and_name(text: str, devices: list[str]):
    assert parse_devices(text) == tuple(torch.device(d) for d in devices)


@pytest.mark.usefixtures("four_gpus")
@pytest.mark.parametrize("text", ["", ",", "2", "0,,1", "4,", "0,0", "cuda,cuda:0", "cpu,0", "0,auto", "-1,", "cuda:x"])
def test_no_such_list_of_devices(text: str):
    with pytest.raises(ValueError, match=r"^device '.*' is not"):
        parse_devices(text)


def test_an_apple_gpu_is_chosen_where_there_is_one(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for there in (True, False):
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda there=there: there)
        assert parse_devices("auto") == (torch.device("mps" if there else "cpu"),)
    with pytest.raises(ValueError, match="no Apple GPU"):
        parse_devices("mps")


@pytest.mark.usefixtures("four_gpus")
def test_chosen_devices_are_the_visible_ones():
    """Numbers count within what was visible; several devices need as many processes."""
    environ: dict[str, str] = {}
    assert claim_devices("2,", environ) == "cuda" and environ["CUDA_VISIBLE_DEVICES"] == "2"
    environ = {"LOCAL_WORLD_SIZE": "2", "CUDA_VISIBLE_DEVICES": "4,5,6,7"}
    assert claim_devices("3,1", environ) == "cuda" and environ["CUDA_VISIBLE_DEVICES"] == "7,5"
    for text, kind in (("auto", "cuda"), ("cuda", "cuda"), ("cpu", "cpu")):
        environ = {"LOCAL_WORLD_SIZE": "2"}
        assert claim_devices(text, environ) == kind and "CUDA_VISIBLE_DEVICES" not in environ
    with pytest.raises(ValueError, match=r"2 devices for 1 processes: run `torchrun --nproc_per_node 2 "):
        claim_devices("0,1", {})


def test_no_such_dtype():
    with pytest.raises(ValueError, match="'int8' is not one of auto, float32, float16, bfloat16"):
        resolve_dtype("int8", torch.device("cpu"))


def test_a_full_memory_is_one_sentence():
    """A real one: no machine has 2⁶² bytes. Other errors pass as they are."""
    with pytest.raises(OutOfMemory) as error, memory_guard("drawing"):
        torch.empty(2**60, dtype=torch.float32)
    assert str(error.value) == "out of memory while drawing; try a smaller size or fewer images at once"
    for face in (MemoryError(), torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")):
        with pytest.raises(OutOfMemory), memory_guard("drawing"):
            raise face
    with pytest.raises(RuntimeError, match="shapes"), memory_guard("drawing"):
        raise RuntimeError("shapes do not fit")


def test_what_a_failed_call_held_is_freed():
    """Before the error is handled, and though it knows the call's frames."""
    held: list[weakref.ref[torch.Tensor]] = []

    def forward() -> None:
        activations = torch.zeros(1000)
        held.append(weakref.ref(activations))
        torch.empty(2**60)

    with pytest.raises(OutOfMemory) as error, memory_guard("drawing"):
        forward()
    assert error.value.__context__ is not None and held[0]() is None


@pytest.mark.parametrize("sticky", [True, False])
def test_a_gpu_is_lost_where_every_later_call_fails(monkeypatch: pytest.MonkeyPatch, sticky: bool):
    fault = getattr(torch, "AcceleratorError", RuntimeError)

    def synchronize(device: torch.device) -> None:
        assert device == torch.device("cuda:1")
        if sticky:
            raise fault("CUDA error: device-side assert triggered")

    monkeypatch.setattr(torch.cuda, "synchronize", synchronize)
    assert is_lost(fault("CUDA error: invalid configuration argument"), torch.device("cuda:1")) is sticky
    assert not is_lost(ValueError("a prompt"), torch.device("cuda:1"))
    assert not is_lost(RuntimeError("a shape"), torch.device("cpu"))
