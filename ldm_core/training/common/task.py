"""What the training loop needs to know about the thing it trains."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from ldm_core.images import Pixels
from ldm_core.training.common.ema import LitEma


class Task(ABC):
    """One part of a model, its optimizers and averages, and how to train it by a step."""

    networks: dict[str, nn.Module]  # their state is in the checkpoint
    optimizers: dict[str, torch.optim.Optimizer]  # lr is the full rate; the loop scales it
    averages: dict[str, LitEma]

    @abstractmethod
    def step(self, step: int) -> Mapping[str, Tensor | float]:
        """One update of the weights; what it returns is averaged and logged. All its randomness comes from `step`."""

    def missing(self, step: int) -> str | None:
        """What a step cannot be made without and another program is still to write, in words; None: nothing."""
        return None

    @abstractmethod
    def validate(self, step: int) -> Mapping[str, float]:
        """Figures on held-out data."""

    def sample(self) -> Pixels | None:
        """A picture uint8 [H,W,3] to look at, or None."""
        return None
