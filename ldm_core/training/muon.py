"""Muon (Jordan et al. 2024): a step is the momentum of a weight matrix with all its singular values near one.

torch has one for matrices alone, which iterates in bf16 whatever the processor. Here a convolution [O,I,h,w] is the
matrix [O, I·h·w], and the caller chooses: bf16 is slow where it is emulated.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

QUINTIC = (3.4445, -4.7750, 2.0315)  # Jordan's coefficients: steepest at zero, ends within 0.7…1.2, not at one
ROUNDS = 5


class Muon(torch.optim.Optimizer):
    """For the weights between a network's first and last layer; give vectors and those two to Adam.

    The update's root mean square is 0.2·lr, as Adam's about is (Liu et al. 2025, §2.2), so that both take the same lr.
    """

    def __init__(
        self,
        parameters: Iterable[Tensor],
        lr: float,
        momentum: float = 0.95,
        weight_decay: float = 0.0,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        """parameters of two axes or more (ValueError); weight_decay is decoupled, as AdamW's; dtype to iterate in."""
        super().__init__(parameters, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})
        self.dtype = dtype
        for p in (p for group in self.param_groups for p in group["params"]):
            if p.ndim < 2:
                raise ValueError(f"Muon moves matrices, not a parameter of shape {tuple(p.shape)}")

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """One update of every parameter that has a gradient."""
        if closure is not None:
            raise ValueError("Muon takes no closure")
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    self._update(p, p.grad, group["lr"], group["momentum"], group["weight_decay"])

    def _update(self, p: Tensor, grad: Tensor, lr: float, momentum: float, weight_decay: float) -> None:
        state = self.state[p]
        if not state:
            state["momentum"] = torch.zeros_like(p)
        average: Tensor = state["momentum"].lerp_(grad, 1 - momentum)
        direction = torch.lerp(grad, average, momentum).flatten(1)  # Nesterov's: the average one step ahead
        scale = 0.2 * max(direction.shape) ** 0.5
        p.mul_(1 - lr * weight_decay).sub_(orthogonal(direction, self.dtype).view(p.shape), alpha=lr * scale)


def orthogonal(matrix: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """[m,n] → U Vᵀ of its singular value decomposition, roughly: by Newton and Schulz's iteration, no decomposition."""
    a, b, c = QUINTIC
    tall = matrix.shape[0] > matrix.shape[1]
    x = (matrix.T if tall else matrix).to(dtype)
    x = x / x.norm().clamp(min=1e-7)  # singular values at most 1
    for _ in range(ROUNDS):
        gram = x @ x.T
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return (x.T if tall else x).to(matrix.dtype)
