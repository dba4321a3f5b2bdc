"""What a diffusion run conditions on besides text: nothing, or the style a caption names as a class."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

STYLES = ("noto", "twemoji", "3d", "flat", "emojione", "fx", "blob")


class Carried:
    """A condition whose numbers the UNet takes as they are."""

    def __init__(self, device: torch.device | str = "cpu") -> None:
        self.device = device

    def __call__(self, numbers: Tensor) -> Tensor:
        """What was read, on the device."""
        return numbers.to(self.device, non_blocking=True)


class NoCondition(Carried):
    """For unconditional runs: captions are not read."""

    def read(self, prompts: Sequence[str]) -> Tensor:
        """B prompts → zeros [B,1], which the UNet never sees."""
        return torch.zeros(len(prompts), 1)


class StyleClass(Carried):
    """For class-conditional runs: the style that a caption names ("red apple, noto style"), as a number."""

    def read(self, prompts: Sequence[str]) -> Tensor:
        """B prompts → class ids int64 [B]; len(STYLES) where no style is named."""
        return torch.tensor(
            [next((i for i, s in enumerate(STYLES) if f"{s} style" in p), len(STYLES)) for p in prompts]
        )
