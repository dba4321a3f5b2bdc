"""The diffusion model's training loss (Ho et al. 2020; Rombach et al. 2022), with the options of CompVis' code."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from ldm_core.config import Parameterization
from ldm_core.diffusion import gaussian
from ldm_core.diffusion.schedule import Floats, NoiseSchedule

Log = dict[str, Tensor]
BINS = 20  # the loss is also logged by noise level


@dataclass(frozen=True)
class DiffusionLossConfig:
    """CompVis' names and defaults; below the line, ours."""

    loss_type: Literal["l1", "l2"] = "l2"
    l_simple_weight: float = 1.0
    original_elbo_weight: float = 0.0
    learn_logvar: bool = False
    logvar_init: float = 0.0
    # ours
    min_snr_gamma: float = 0.0  # 0 is off; 5 in the paper
    published_lvlb: bool = True  # the x0 branch of CompVis' weights is not the bound's, see NoiseSchedule.lvlb_weights

    def __post_init__(self) -> None:
        if self.loss_type not in ("l1", "l2"):
            raise ValueError(f"loss_type must be l1 or l2, not {self.loss_type!r}")
        if self.min_snr_gamma < 0:
            raise ValueError(f"min_snr_gamma must not be negative, is {self.min_snr_gamma}")


class DiffusionLoss(nn.Module):
    """Noising, target and weighted error. `logvar` [T] is a parameter where it is learned."""

    sqrt_alphas_cumprod: Tensor
    sqrt_one_minus_alphas_cumprod: Tensor
    lvlb_weights: Tensor
    snr_weights: Tensor

    def __init__(
        self, config: DiffusionLossConfig, schedule: NoiseSchedule, parameterization: Parameterization
    ) -> None:
        super().__init__()
        self.config, self.parameterization, self.timesteps = config, parameterization, schedule.num_timesteps
        a = schedule.alphas_cumprod
        tables = {
            "sqrt_alphas_cumprod": np.sqrt(a),
            "sqrt_one_minus_alphas_cumprod": np.sqrt(1 - a),
            "lvlb_weights": schedule.lvlb_weights(parameterization, config.published_lvlb),
            "snr_weights": min_snr_weights(schedule.snr, config.min_snr_gamma, parameterization),
        }
        for name, table in tables.items():
            self.register_buffer(name, torch.from_numpy(table.astype(np.float32)), persistent=False)
        # from_numpy stays on the CPU, with the tables, while a model is being built on the meta device
        logvar = torch.from_numpy(np.full(self.timesteps, config.logvar_init, dtype=np.float32))
        self.logvar = nn.Parameter(logvar, requires_grad=config.learn_logvar)

    def q_sample(self, z: Tensor, t: Tensor, noise: Tensor) -> Tensor:
        """x_t = √ᾱ·z + √(1−ᾱ)·noise (Ho et al. 2020, eq. 4); t int64 [B]."""
        return gaussian.q_sample(self, z, t, noise)

    def target(self, z: Tensor, t: Tensor, noise: Tensor) -> Tensor:
        """What the network should say: the noise, the latent, or v = √ᾱ·noise − √(1−ᾱ)·z (Salimans & Ho 2022)."""
        if self.parameterization == "eps":
            return noise
        if self.parameterization == "x0":
            return z
        return gaussian.get_v(self, z, noise, t)

    def per_sample(self, out: Tensor, z: Tensor, t: Tensor, noise: Tensor) -> Tensor:
        """Mean error of each sample, unweighted: [B] fp32."""
        difference = out.float() - self.target(z, t, noise)
        error = difference.abs() if self.config.loss_type == "l1" else difference.square()
        return error.flatten(1).mean(1)

    def forward(self, out: Tensor, z: Tensor, t: Tensor, noise: Tensor, split: str = "train") -> tuple[Tensor, Log]:
        """Network output for q_sample(z, t, noise), all [B,C,h,w] → (loss, log of loss_simple, loss_vlb, loss).

        loss_simple is logged before min-SNR weights and logvar, so that runs with other weights can be compared.
        """
        c, error = self.config, self.per_sample(out, z, t, noise)
        weighted = self.snr_weights[t] * error
        if c.learn_logvar or c.logvar_init != 0:
            logvar = self.logvar[t]
            weighted = weighted / logvar.exp() + logvar
        loss_vlb = (self.lvlb_weights[t] * error).mean()
        loss = c.l_simple_weight * weighted.mean() + c.original_elbo_weight * loss_vlb
        log = {"loss_simple": error.mean(), "loss_vlb": loss_vlb, "loss": loss}
        if c.learn_logvar:
            log["logvar"] = self.logvar.mean()
        return loss, {f"{split}/{name}": value.detach() for name, value in log.items()}


def min_snr_weights(snr: Floats, gamma: float, parameterization: Parameterization) -> Floats:
    """Weights [T] that make every parameterization's error count as min(SNR, γ) in x0 (Hang et al. 2023, §3.4).

    An error δ in x0 is √SNR·δ in eps and √(SNR+1)·δ in v. γ = 0 is weight 1.
    """
    if gamma == 0:
        return np.ones_like(snr)
    scale: Floats = {"x0": np.ones_like(snr), "eps": snr, "v": snr + 1}[parameterization]
    return np.minimum(snr, gamma) / scale


def bin_means(errors: Tensor, t: Tensor, timesteps: int, bins: int = BINS) -> dict[str, float]:
    """Mean error by noise level: {"bin_00": …} for equal ranges of t, empty ranges left out."""
    index = t * bins // timesteps
    sums = torch.zeros(bins).index_add_(0, index.cpu(), errors.detach().float().cpu())
    counts = torch.bincount(index.cpu(), minlength=bins)
    return {f"bin_{i:02d}": float(sums[i] / counts[i]) for i in range(bins) if counts[i]}
