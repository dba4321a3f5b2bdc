"""Which device and precision to run on, and what to do when memory runs out."""

from __future__ import annotations

import functools
import gc
import time
import traceback
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager

import torch

PAYS = 0.8  # of fp32's time that bf16 may take: it also rounds
DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


class OutOfMemory(MemoryError):
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
    if device.type not in ("cpu", "cuda", "mps"):
        raise ValueError(f"device {name!r} is none that this program runs on; use auto, cpu, cuda, cuda:N or mps")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ValueError(f"device {name!r} is not there: this machine has {torch.cuda.device_count()} CUDA devices")
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise ValueError("device 'mps' is not there: this machine has no Apple GPU that torch can use")
    return device


def parse_devices(text: str) -> tuple[torch.device, ...]:
    """'0,' and '0,1' are CUDA devices by number, as after the published `--gpus`; else what `resolve_device` reads.

    Raises ValueError for a bare number (which of number and count?), a device named twice or not there, and for a
    list of anything but CUDA devices.
    """
    items = [item.strip() for item in text.removesuffix(",").split(",")]
    if text.strip().isdecimal():
        raise ValueError(f"device {text!r} is not clear: write '{text.strip()},' for one CUDA device, '0,1' for two")
    listed = "," in text
    names = [f"cuda:{item}" if listed and item.isdecimal() else item for item in items]
    if listed and any(not name.startswith("cuda") for name in names):
        raise ValueError(f"device {text!r} is not a list of CUDA devices: write it as '0,1'")
    devices = tuple(resolve_device(name) for name in names)
    if len({device.index or 0 for device in devices}) < len(devices):
        raise ValueError(f"device {text!r} is not a list of different devices")
    return devices


def claim_devices(text: str, environ: MutableMapping[str, str]) -> str:
    """A training command's device argument → 'cpu', 'cuda' or 'mps'; numbered CUDA devices alone stay visible.

    Sets CUDA_VISIBLE_DEVICES in `environ`, so it has to come before anything computes on a GPU; numbers count within
    what was visible before. Several devices need a process each, which `torchrun` starts (it sets LOCAL_WORLD_SIZE);
    'auto' and 'cuda' leave it to the launcher. Raises ValueError where devices and processes differ in number.
    """
    devices, processes = parse_devices(text), int(environ.get("LOCAL_WORLD_SIZE", "1"))
    kind = devices[0].type
    if kind != "cuda" or text in ("auto", "cuda"):
        return kind
    if len(devices) != processes:
        raise ValueError(
            f"device {text!r} is {len(devices)} devices for {processes} processes: "
            f"run `torchrun --nproc_per_node {len(devices)} -m ldm_core train …`"
        )
    before = [name for name in environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
    numbers = [device.index or 0 for device in devices]
    environ["CUDA_VISIBLE_DEVICES"] = ",".join(before[n] if before else str(n) for n in numbers)
    return kind


def resolve_dtype(name: str, device: torch.device) -> torch.dtype:
    """'auto' is float16 on a GPU; on a CPU bfloat16 where that is faster, else float32."""
    if name == "auto":
        if device.type != "cpu":
            return torch.float16
        return torch.bfloat16 if bf16_is_faster() else torch.float32
    if name not in DTYPES:
        raise ValueError(f"dtype {name!r} is not one of auto, {', '.join(DTYPES)}")
    return DTYPES[name]


def has_bf16() -> bool:
    """Whether this processor has instructions for bf16; without them it takes far longer than fp32."""
    return bool(torch.cpu._is_avx512_bf16_supported())


@functools.cache
def bf16_is_faster() -> bool:
    """Whether this processor multiplies matrices faster in bf16 than in fp32.

    It is timed, since having the instructions tells little: with AMX, and on AMD's processors, bf16 takes half the time
    or less; on Intel's with AVX-512 alone nearly twice as long.
    """
    if not has_bf16():
        return False
    rounds = [(_product_seconds(torch.bfloat16), _product_seconds(torch.float32)) for _ in range(8)]
    bf16, fp32 = (min(seconds) for seconds in zip(*rounds, strict=True))  # other programs only add to them
    return bf16 < PAYS * fp32


def _product_seconds(dtype: torch.dtype) -> float:
    """What a product of two matrices takes."""
    matrix = torch.ones(512, 512, dtype=dtype)
    begun = time.perf_counter()
    matrix @ matrix
    return time.perf_counter() - begun


@contextmanager
def memory_guard(what: str) -> Iterator[None]:
    """Turn the several faces of a full memory into one OutOfMemory that says what was being done."""
    try:
        yield
    except (MemoryError, torch.OutOfMemoryError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and not _is_out_of_memory(error):
            raise
        traceback.clear_frames(error.__traceback__)  # the failed call's frames hold what it had computed so far
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        raise OutOfMemory(f"out of memory while {what}; try a smaller size or fewer images at once") from None


def is_lost(error: BaseException, device: torch.device) -> bool:
    """Whether an error is the GPU's end for this process: a sticky one, after which every call of CUDA raises."""
    if device.type != "cuda" or not isinstance(error, RuntimeError):
        return False
    try:
        torch.cuda.synchronize(device)
    except RuntimeError:
        return True
    return False


def _is_out_of_memory(error: RuntimeError) -> bool:
    words = str(error).lower()
    return isinstance(error, torch.OutOfMemoryError) or "out of memory" in words or "can't allocate memory" in words
