"""Which device and precision to run on, and what to do when memory runs out."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

import torch

DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


class OutOfMemory(RuntimeError):
    """The device's memory is full; what the failed call held has been freed."""


def resolve_device(name: str) -> torch.device:
    """'auto' is CUDA, then MPS, then CPU; anything else is a torch device name, e.g. 'cuda:1'.

    Raises ValueError where the name means nothing or the device is not there.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ValueError(f"device {name!r} is not a device name; use auto, cpu, cuda, cuda:N or mps") from error
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ValueError(f"device {name!r} is not there: this machine has {torch.cuda.device_count()} CUDA devices")
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise ValueError("device 'mps' is not there: this machine has no Apple GPU that torch can use")
    return device


def resolve_dtype(name: str, device: torch.device) -> torch.dtype:
    """'auto' is float16 on a GPU; on a CPU bfloat16 where the processor computes in it, else float32."""
    if name == "auto":
        if device.type != "cpu":
            return torch.float16
        return torch.bfloat16 if torch.cpu._is_avx512_bf16_supported() else torch.float32
    if name not in DTYPES:
        raise ValueError(f"dtype {name!r} is not one of auto, {', '.join(DTYPES)}")
    return DTYPES[name]


@contextmanager
def memory_guard(what: str) -> Iterator[None]:
    """Turn the several faces of a full memory into one OutOfMemory that says what was being done."""
    try:
        yield
    except (MemoryError, torch.OutOfMemoryError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and not _is_out_of_memory(error):
            raise
        raise OutOfMemory(f"out of memory while {what}; try a smaller size or fewer images at once") from None
    finally:
        if torch.cuda.is_available() and torch.cuda.memory_reserved() > 0.9 * torch.cuda.mem_get_info()[1]:
            gc.collect()
            torch.cuda.empty_cache()


def _is_out_of_memory(error: RuntimeError) -> bool:
    words = str(error).lower()
    return isinstance(error, torch.OutOfMemoryError) or "out of memory" in words or "can't allocate memory" in words
