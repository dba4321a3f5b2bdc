"""Device and precision by name, and one face for a full memory."""

from __future__ import annotations

import pytest
import torch

from ldm_core.devices import OutOfMemory, memory_guard, resolve_device, resolve_dtype


def test_auto_is_the_best_there_is():
    device = resolve_device("auto")
    assert device.type == (
        "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    )
    assert resolve_dtype("auto", torch.device("cuda")) is torch.float16
    assert resolve_dtype("auto", torch.device("mps")) is torch.float16


@pytest.mark.parametrize(("has_bf16", "dtype"), [(True, torch.bfloat16), (False, torch.float32)])
def test_a_processor_computes_in_what_it_has(monkeypatch: pytest.MonkeyPatch, has_bf16: bool, dtype: torch.dtype):
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: has_bf16)
    assert resolve_dtype("auto", torch.device("cpu")) is dtype


@pytest.mark.parametrize("name", ["gpu", "cuda:99", ""])
def test_no_such_device(name: str):
    with pytest.raises(ValueError, match=r"^device '.*' is not"):
        resolve_device(name)


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
