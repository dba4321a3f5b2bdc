"""What the processor can do at most, and how much work a network is: a time becomes a share of the peak."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

SECONDS = 1.0  # of trying, for each of the two
SIDE, CHANNELS, CELLS = 2048, 256, 64


def peak(dtype: torch.dtype, device: torch.device) -> dict[str, float]:
    """Floating-point operations a second of the best matmul and the best 3×3 convolution, in this dtype by torch."""
    a = torch.randn(SIDE, SIDE).to(device, dtype)
    x = torch.randn(2, CHANNELS, CELLS, CELLS).to(device, dtype).contiguous(memory_format=torch.channels_last)
    w = torch.randn(CHANNELS, CHANNELS, 3, 3).to(device, dtype).contiguous(memory_format=torch.channels_last)
    work: dict[str, Callable[[], Tensor]] = {"matmul": lambda: a @ a, "convolution": lambda: F.conv2d(x, w, padding=1)}
    return {name: flops(call) / shortest(call, device) for name, call in work.items()}


def shortest(call: Callable[[], object], device: torch.device) -> float:
    """Seconds of the quickest of many calls."""
    best, end = float("inf"), time.perf_counter() + SECONDS
    while time.perf_counter() < end:
        start = time.perf_counter()
        call()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        best = min(best, time.perf_counter() - start)
    return best


def flops(call: Callable[[], object]) -> float:
    """Floating-point operations of torch's matmuls, convolutions and attention in one call: two a multiply-add."""
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        call()
    return float(counter.get_total_flops())
