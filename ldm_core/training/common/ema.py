"""Exponential moving average of weights, with the warm-up of CompVis' LitEma."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn


class LitEma:
    """A shadow of a module's trainable parameters.

    θ' ← d·θ' + (1−d)·θ with d = min(decay, (1+n)/(10+n)) at the n-th update, so that the first random weights fade
    quickly. Kept outside the module: CompVis' buffers (`model_ema.…`) are read and written by `checkpoint`.
    """

    def __init__(self, module: nn.Module, decay: float = 0.9999) -> None:
        if not 0.0 <= decay <= 1.0:
            raise ValueError(f"decay must lie in [0, 1], not {decay}")
        self.decay = decay
        self.num_updates = 0
        self.shadow = {n: p.detach().clone() for n, p in module.named_parameters() if p.requires_grad}
        self._stored: dict[str, Tensor] = {}

    @torch.no_grad()
    def update(self, module: nn.Module) -> None:
        """One step towards the module's present weights."""
        self.num_updates += 1
        decay = min(self.decay, (1 + self.num_updates) / (10 + self.num_updates))
        torch._foreach_lerp_(list(self.shadow.values()), list(self._live(module).values()), 1.0 - decay)

    @torch.no_grad()
    def copy_to(self, module: nn.Module) -> None:
        """Put the averaged weights into the module."""
        for name, p in self._live(module).items():
            p.copy_(self.shadow[name])

    def store(self, module: nn.Module) -> None:
        """Remember the module's weights, for `restore`."""
        self._stored = {n: p.detach().clone() for n, p in self._live(module).items()}

    @torch.no_grad()
    def restore(self, module: nn.Module) -> None:
        """Undo `copy_to`; raises RuntimeError where nothing was stored."""
        if not self._stored:
            raise RuntimeError("restore() without store()")
        for name, p in self._live(module).items():
            p.copy_(self._stored[name])
        self._stored = {}

    def state_dict(self) -> dict[str, Any]:
        """Plain values and tensors."""
        return {"num_updates": self.num_updates, "shadow": self.shadow}

    @torch.no_grad()
    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The inverse of state_dict; other names raise ValueError."""
        if set(state["shadow"]) != set(self.shadow):
            raise ValueError("the average belongs to another network: parameter names differ")
        self.num_updates = state["num_updates"]
        for name, value in self.shadow.items():
            value.copy_(state["shadow"][name])

    def _live(self, module: nn.Module) -> dict[str, Tensor]:
        parameters = dict(module.named_parameters())
        return {name: parameters[name].detach() for name in self.shadow}


@contextmanager
def ema_scope(ema: LitEma, module: nn.Module) -> Iterator[nn.Module]:
    """Run the body on the averaged weights."""
    ema.store(module)
    ema.copy_to(module)
    try:
        yield module
    finally:
        ema.restore(module)
