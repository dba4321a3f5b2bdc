"""What a diffusion run conditions on besides text: nothing, or the style a caption names as a class."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

STYLES = ("noto", "twemoji", "3d", "flat", "emojione", "fx", "blob")


class NoCondition:
    """For unconditional runs: captions are not read."""

    def __init__(self, device: torch.device | str = "cpu") -> None:
        self.device = device

    def read(self, prompts: Sequence[str]) -> Tensor:
        """B prompts → zeros [B,1], which the UNet never sees."""
        return torch.zeros(len(prompts), 1)

    def __call__(self, numbers: Tensor) -> Tensor:
        """The same on the device."""
        return numbers.to(self.device, non_blocking=True)


class StyleClass:
    """For class-conditional runs: the style that a caption names ("red apple, noto style"), as a number."""

    def __init__(self, device: torch.device | str = "cpu", styles: Sequence[str] = STYLES) -> None:
        self.styles, self.device = styles, device

    def read(self, prompts: Sequence[str]) -> Tensor:
        """B prompts → class ids int64 [B]; len(styles) where no style is named."""
        named = [next((i for i, s in enumerate(self.styles) if f"{s} style" in p), len(self.styles)) for p in prompts]
        return torch.tensor(named)

    def __call__(self, numbers: Tensor) -> Tensor:
        """The same on the device."""
        return numbers.to(self.device, non_blocking=True)
