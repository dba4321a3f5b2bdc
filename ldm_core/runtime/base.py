"""What a runtime is, and the check that it gives eager torch's numbers."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from ldm_core.config import ModelConfig

# Largest relative RMS distance from eager torch in the same precision. bf16 keeps 8 bits of a number: two correct
# networks of this depth differ by about 0.01 in it, a wrong one by 0.1 and more.
TOLERANCE = {torch.float32: 1e-4, torch.bfloat16: 5e-2, torch.float16: 2e-2}
SMALL_CELLS = 16  # latent cells a side where any size will do: the full one takes seconds and gigabytes of large models


class Runtime(Protocol):
    """Executes the four networks of a model. Takes fp32, and returns it on the CPU or the model's device.

    Not thread-safe: one caller at a time. A failure in the middle of a call raises RuntimeFailed.
    """

    name: str
    threads: int | None  # of the processor, as asked for; None is the runtime's own rule

    def unet(self, x: Tensor, t: Tensor, context: Tensor) -> Tensor:
        """x [B,C,h,w], t [B], context [B,L,D] (or class numbers [B], or nothing [B,0]) → [B,C,h,w]."""
        ...

    def decode(self, z: Tensor) -> Tensor:
        """Scaled latent z [B,C,h,w] → image [B,3,f·h,f·w], about [-1,1]."""
        ...

    def encode(self, image: Tensor) -> Tensor:
        """Image [B,3,H,W] in [-1,1] → the posterior's mode, scaled: [B,C,H/f,W/f]."""
        ...

    def encode_text(self, ids: Tensor) -> Tensor:
        """Token ids int64 [B,L] → context [B,L,D], in fp32 or the weights' precision."""
        ...


class RuntimeUnavailable(ValueError):
    """A runtime cannot be had here: not installed, wrong device, no memory, or it fails the parity check."""


class WrongGraphs(RuntimeUnavailable):
    """A runtime's graphs are damaged, fail, or give other numbers than torch: they are worth making anew."""


class RuntimeFailed(RuntimeError):
    """A runtime broke in the middle of its work; the picture starts again on torch."""


def check_parity(runtime: Runtime, reference: Runtime, config: ModelConfig, dtype: torch.dtype) -> None:
    """One step and one decode of a small latent; WrongGraphs where the two differ by more than TOLERANCE."""
    side = small_side(config)
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(2, config.first_stage.embed_dim, side, side, generator=generator)
    t = torch.tensor([0.1, 0.9]) * config.schedule.timesteps
    context = _example_context(config, generator)
    pairs = {
        "unet": (runtime.unet(z, t, context), reference.unet(z, t, context)),
        "decoder": (runtime.decode(z[:1]), reference.decode(z[:1])),
    }
    for network, (found, expected) in pairs.items():
        distance = relative_distance(found, expected)
        if not distance <= TOLERANCE[dtype]:  # NaN is no distance
            raise WrongGraphs(f"{runtime.name}'s {network} differs from torch's by {distance:.2g} of its size")


def small_side(config: ModelConfig) -> int:
    """Latent cells a side, about SMALL_CELLS, that the network can halve and double."""
    multiple = 2 ** (len(config.unet.channel_mult) - 1)
    return max(multiple, SMALL_CELLS // multiple * multiple)


def relative_distance(found: Tensor, expected: Tensor) -> float:
    """‖found − expected‖ / ‖expected‖, over all elements."""
    found, expected = found.float().cpu(), expected.float().cpu()
    return float((found - expected).norm() / expected.norm())


def _example_context(config: ModelConfig, generator: torch.Generator) -> Tensor:
    """A condition of two rows of the kind this model takes."""
    if config.conditioning_key == "adm":
        return torch.tensor([0, (config.unet.num_classes or 1) - 1])
    if config.text is None:
        return torch.zeros(2, 0)
    return torch.randn(2, config.text.text_len, config.text.width, generator=generator)
