"""A model without weights, for samplers: what DDIMSampler needs and nothing more."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from tests.diffusion.oracles import SCHEDULE, network


def stirred(model: nn.Module) -> Any:
    """A UNet starts out answering zero: give it something to say."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for p in model.model.parameters():
            p.add_(0.1 * torch.randn(p.shape, generator=generator))
    return model.eval()


class Stub:
    def __init__(self, parameterization: str = "eps") -> None:
        self.schedule = SCHEDULE
        self.betas = torch.from_numpy(SCHEDULE.betas).float()
        self.config = SimpleNamespace(parameterization=parameterization)
        self.calls: list[tuple[Tensor, Tensor, Any]] = []

    def apply_model(self, x: Tensor, t: Tensor, c: Any = None) -> Tensor:
        """The oracle network, moved by the mean of the condition."""
        self.calls.append((x, t, c))
        out = network(x, t.float())
        if isinstance(c, dict):
            c = torch.cat([part for parts in c.values() for part in parts], dim=1)
        return out if c is None else out + c.float().flatten(1).mean(1)[:, None, None, None]

    def quantize_denoised(self, x0: Tensor) -> Tensor:
        return (2 * x0).round() / 2
