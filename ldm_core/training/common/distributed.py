"""Several processes as one: each takes its share of the global batch, and everything is averaged over all of them.

Every process draws the whole step's randomness, a function of seed, step and a sample's index in the global batch, and
then takes its share: so a run is the same with any number of processes, up to the order of sums.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from accelerate import Accelerator
from torch import Tensor


@dataclass(frozen=True)
class Share:
    """The part of a global batch that process `index` of `count` computes."""

    index: int = 0
    count: int = 1

    def of(self, n: int) -> slice:
        """Its rows of n; ValueError where n cannot be shared evenly (a mean of means would not be the mean)."""
        if n % self.count:
            raise ValueError(f"a batch of {n} cannot be shared by {self.count} processes: make it a multiple")
        size = n // self.count
        return slice(self.index * size, (self.index + 1) * size)


WHOLE = Share()


def own_share(accelerator: Accelerator) -> Share:
    """This process's."""
    return Share(accelerator.process_index, accelerator.num_processes)


def mean_over_processes(accelerator: Accelerator, values: Mapping[str, Tensor | float]) -> dict[str, Tensor | float]:
    """Figures of equal shares → figures of the global batch, still on their device, without waiting for it.

    Every process must come with the same names at the same step.
    """
    if accelerator.num_processes == 1:
        return dict(values)
    own = [torch.as_tensor(v, dtype=torch.float32, device=accelerator.device).detach() for v in values.values()]
    mean: Tensor = accelerator.reduce(torch.stack(own), reduction="mean")
    return dict(zip(values, mean.unbind(), strict=True))


def average_gradients(accelerator: Accelerator, parameters: Iterable[Tensor]) -> None:
    """For parameters outside the prepared network, whose own are averaged during backward."""
    if accelerator.num_processes > 1:
        for parameter in parameters:
            if parameter.grad is not None:
                parameter.grad = accelerator.reduce(parameter.grad, reduction="mean")


def agree(accelerator: Accelerator, stopping: bool, waiting: bool, seconds: float) -> tuple[bool, bool, float]:
    """(whether any process wants to stop, whether any has to wait, the main process's clock).

    A process alone in a step would wait for the others for ever.
    """
    if accelerator.num_processes == 1:
        return stopping, waiting, seconds
    own = [float(stopping), float(waiting), seconds if accelerator.is_main_process else 0.0]
    stops, waits, clock = accelerator.reduce(torch.tensor(own, device=accelerator.device), reduction="sum").tolist()
    return stops > 0, waits > 0, clock
