"""The adversarial terms of the autoencoder's loss."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def hinge_d_loss(logits_real: Tensor, logits_fake: Tensor) -> Tensor:
    """½(E[max(0, 1−D(x))] + E[max(0, 1+D(x̂))]) (Lim & Ye 2017)."""
    return 0.5 * (F.relu(1.0 - logits_real).mean() + F.relu(1.0 + logits_fake).mean())


def vanilla_d_loss(logits_real: Tensor, logits_fake: Tensor) -> Tensor:
    """½(E[ln(1+e^−D(x))] + E[ln(1+e^D(x̂))]) (Goodfellow et al. 2014, eq. 1)."""
    return 0.5 * (F.softplus(-logits_real).mean() + F.softplus(logits_fake).mean())


def adopt_weight(weight: float, global_step: int, threshold: int = 0, value: float = 0.0) -> float:
    """`value` before step `threshold`, `weight` from then on."""
    return value if global_step < threshold else weight


def adaptive_weight(nll_loss: Tensor, g_loss: Tensor, last_layer: Tensor) -> Tensor:
    """‖∇nll‖ / (‖∇g‖ + 1e-4) at the decoder's last layer, clamped to [0, 1e4] (Esser et al. 2021, eq. 7)."""
    nll_grad = torch.autograd.grad(nll_loss, last_layer, retain_graph=True)[0]
    g_grad = torch.autograd.grad(g_loss, last_layer, retain_graph=True)[0]
    nll_norm, g_norm = torch.linalg.vector_norm(nll_grad), torch.linalg.vector_norm(g_grad)
    return (nll_norm / (g_norm + 1e-4)).clamp(0.0, 1e4).detach()
