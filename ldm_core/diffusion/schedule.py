"""The noise schedule: betas, everything derived from them, and the grids of timesteps samplers walk."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ldm_core.config import BetaSchedule, Parameterization, ScheduleConfig, TimestepSpacing

Floats = NDArray[np.float64]


def make_beta_schedule(
    kind: BetaSchedule, n: int, linear_start: float = 1e-4, linear_end: float = 2e-2, cosine_s: float = 8e-3
) -> Floats:
    """Variances β [n], float64, each in [0, 0.999].

    "linear" is linear in √β, as every latent diffusion checkpoint was trained; what Ho et al. (2020) call linear is
    "sqrt_linear" here. "cosine" is Nichol & Dhariwal (2021), eq. 17. "sqrt" is the square root of the straight line.
    """
    if n < 1:
        raise ValueError(f"a schedule needs at least 1 timestep, not {n}")
    if kind == "linear":
        return np.square(np.linspace(linear_start**0.5, linear_end**0.5, n))
    if kind == "sqrt_linear":
        return np.linspace(linear_start, linear_end, n)
    if kind == "sqrt":
        return np.sqrt(np.linspace(linear_start, linear_end, n))
    if kind == "cosine":
        angles = (np.arange(n + 1) / n + cosine_s) / (1 + cosine_s) * np.pi / 2
        alphas_cumprod = np.cos(angles) ** 2
        betas: Floats = 1 - alphas_cumprod[1:] / alphas_cumprod[:-1]
        return np.minimum(betas, 0.999)
    raise ValueError(f"beta schedule must be linear, cosine, sqrt_linear or sqrt, not {kind!r}")


def make_ddim_timesteps(kind: TimestepSpacing, n: int, T: int) -> NDArray[np.int64]:
    """Exactly n increasing timesteps in 0…T−1 (Song et al. 2021, app. D.3). n = 1 is t = 1, of "trailing" t = T−1.

    CompVis' uniform grid is i·(T//n)+1, which for n that does not divide T has another number of steps or runs
    past the table; this one equals it wherever n is a proper divisor of T. "quad" is CompVis'
    ⌊(i·√(0.8T)/(n−1))²⌋+1 made strictly increasing, whose last is about 0.8·T from n = 2 on; "trailing" counts down
    from T−1 (Lin et al. 2024, table 2).
    """
    if not 1 <= n <= T:
        raise ValueError(f"steps must lie in 1…{T}, not {n}")
    if n == T:
        return np.arange(T)
    i = np.arange(n)
    if kind == "uniform":
        return i * T // n + 1
    if kind == "trailing":
        return T - 1 - ((n - 1 - i) * T) // n
    if kind == "quad":
        return _increasing((np.linspace(0, np.sqrt(0.8 * T), n) ** 2).astype(np.int64) + 1, T)
    raise ValueError(f"step grid must be uniform, quad or trailing, not {kind!r}")


def _increasing(steps: NDArray[np.int64], T: int) -> NDArray[np.int64]:
    """Move repeated steps up by one, then keep the end inside the table."""
    i = np.arange(len(steps))
    steps = np.maximum.accumulate(steps - i) + i
    return np.minimum(steps, T - len(steps) + i)


@dataclass(frozen=True)
class TimestepGrid:
    """What a sampler walks, in the order it is walked (noise first). fp32, [n] each; eta is already in sigma."""

    t: Tensor
    alpha_bar: Tensor
    alpha_bar_prev: Tensor
    sigma: Tensor

    def __len__(self) -> int:
        return len(self.t)

    def tail(self, steps: int) -> TimestepGrid:
        """The last `steps` steps, for starting from a partly noised latent."""
        k = len(self) - steps
        return TimestepGrid(self.t[k:], self.alpha_bar[k:], self.alpha_bar_prev[k:], self.sigma[k:])


@dataclass(frozen=True, eq=False)
class NoiseSchedule:
    """β and all that follows from it, in float64; `buffers()` gives the checkpoint's fp32 tensors."""

    betas: Floats
    v_posterior: float = 0.0

    @classmethod
    def from_config(cls, c: ScheduleConfig) -> NoiseSchedule:
        """given_betas win over the named schedule."""
        if c.given_betas is not None:
            betas = np.asarray(c.given_betas, dtype=np.float64)
        else:
            betas = make_beta_schedule(c.beta_schedule, c.timesteps, c.linear_start, c.linear_end, c.cosine_s)
        return cls(betas, c.v_posterior)

    def __post_init__(self) -> None:
        if self.betas.ndim != 1 or not len(self.betas):
            raise ValueError(f"betas must be a vector of at least one value, not of shape {self.betas.shape}")
        if not ((self.betas >= 0) & (self.betas < 1)).all():
            raise ValueError("every beta must lie in [0, 1)")

    @property
    def num_timesteps(self) -> int:
        """T: timesteps are 0…T−1."""
        return len(self.betas)

    @cached_property
    def alphas_cumprod(self) -> Floats:
        """ᾱ_t, the share of the image's variance left in x_t."""
        return np.cumprod(1.0 - self.betas, dtype=np.float64)

    @cached_property
    def alphas_cumprod_prev(self) -> Floats:
        """ᾱ_{t−1}, with ᾱ_{−1} = 1."""
        return np.append(1.0, self.alphas_cumprod[:-1])

    @cached_property
    def snr(self) -> Floats:
        """Signal-to-noise ratio ᾱ/(1−ᾱ)."""
        return self.alphas_cumprod / (1.0 - self.alphas_cumprod)

    @cached_property
    def log_sigma(self) -> Floats:
        """log of σ = √((1−ᾱ)/ᾱ), the noise level in the variance-exploding words of Karras et al. (2022)."""
        return -0.5 * np.log(self.snr)

    @cached_property
    def posterior_variance(self) -> Floats:
        """Variance of x_{t−1} given x_t, between β̃ (v_posterior 0) and β (1): Ho et al. (2020), eq. 7 and §3.2."""
        v = self.v_posterior
        lower = self.betas * (1.0 - self.alphas_cumprod_prev) / (1.0 - self.alphas_cumprod)
        return (1 - v) * lower + v * self.betas

    def buffers(self) -> dict[str, Tensor]:
        """The twelve named fp32 buffers of SD v1's checkpoints, [T] each."""
        a, prev, var = self.alphas_cumprod, self.alphas_cumprod_prev, self.posterior_variance
        values = {
            "betas": self.betas,
            "alphas_cumprod": a,
            "alphas_cumprod_prev": prev,
            "sqrt_alphas_cumprod": np.sqrt(a),
            "sqrt_one_minus_alphas_cumprod": np.sqrt(1.0 - a),
            "log_one_minus_alphas_cumprod": np.log(1.0 - a),
            "sqrt_recip_alphas_cumprod": np.sqrt(1.0 / a),
            "sqrt_recipm1_alphas_cumprod": np.sqrt(1.0 / a - 1.0),
            "posterior_variance": var,
            "posterior_log_variance_clipped": np.log(np.maximum(var, 1e-20)),  # the first variance is 0
            "posterior_mean_coef1": self.betas * np.sqrt(prev) / (1.0 - a),
            "posterior_mean_coef2": (1.0 - prev) * np.sqrt(1.0 - self.betas) / (1.0 - a),
        }
        # from_numpy stays on the CPU even while a model is being built on the meta device
        return {name: torch.from_numpy(np.asarray(v, dtype=np.float32)) for name, v in values.items()}

    def lvlb_weights(self, parameterization: Parameterization, published: bool = True) -> Floats:
        """Weight of the squared error at each t in the variational bound, [T].

        eps: β²/(2σ²α(1−ᾱ)) (Ho et al. 2020, eq. 12); at t = 0 it is infinite and CompVis' code copies w[1].
        x0: the bound's weight is ½(SNR(t−1) − SNR(t)) (Kingma et al. 2021, eq. 15); CompVis' code has
        ½√ᾱ/(2·1 − ᾱ), another quantity, kept as the default because checkpoints were trained with it.
        v: the eps weight times ᾱ, since the error in v is the error in eps over √ᾱ (Salimans & Ho 2022, app. D).
        """
        a = self.alphas_cumprod
        if parameterization == "x0" and published:
            w = 0.5 * np.sqrt(a) / (2.0 * 1.0 - a)
        else:
            with np.errstate(divide="ignore", invalid="ignore"):
                w = self.betas**2 / (2.0 * self.posterior_variance * (1.0 - self.betas) * (1.0 - a))
            # an error δ in x0 is √SNR·δ in eps; an error δ in v is √ᾱ·δ in eps
            w = w * {"eps": np.ones_like(a), "x0": self.snr, "v": a}[parameterization]
        if len(w) > 1:
            w = np.append(w[1], w[1:])
        if np.isnan(w).any():  # CompVis' check is .all(), which lets a single NaN pass
            raise ValueError("lower-bound weights contain NaN: the schedule has a beta of 0")
        return w

    def grid(self, kind: TimestepSpacing, steps: int, eta: float = 0.0, end_at_data: bool = False) -> TimestepGrid:
        """`steps` timesteps with their ᾱ, previous ᾱ and σ(η) (Song et al. 2021, eq. 16).

        The last ᾱ_prev is ᾱ[0] as in CompVis' code, so that ddim and plms stop at the noise level of t = 0; with
        end_at_data it is 1, and they go on to the data.
        """
        return self.grid_at(make_ddim_timesteps(kind, steps, self.num_timesteps), eta, end_at_data)

    def grid_at(self, timesteps: NDArray[np.int64], eta: float = 0.0, end_at_data: bool = False) -> TimestepGrid:
        """The grid over increasing integer timesteps of one's own choice."""
        a = self.alphas_cumprod[timesteps]
        prev = np.append(1.0 if end_at_data else self.alphas_cumprod[0], a[:-1])
        sigma = eta * np.sqrt((1 - prev) / (1 - a) * (1 - a / prev))
        return TimestepGrid(*(torch.from_numpy(v[::-1].astype(np.float32)) for v in (timesteps, a, prev, sigma)))

    def alpha_bar_at(self, t: Tensor) -> Tensor:
        """ᾱ at fractional t, of t's shape, by interpolating log σ (Karras et al. 2022, app. C); fp32 for whole t."""
        at = np.interp(t.detach().cpu().double().numpy(), np.arange(self.num_timesteps), self.log_sigma)
        alpha_bar = torch.from_numpy(np.asarray(1.0 / (1.0 + np.exp(2.0 * at))))
        return alpha_bar.to(t.device, t.dtype if t.is_floating_point() else torch.float32)

    def t_at_sigma(self, sigma: Floats) -> Floats:
        """The fractional timestep whose noise level is σ = √((1−ᾱ)/ᾱ): the inverse of alpha_bar_at."""
        return np.interp(np.log(sigma), self.log_sigma, np.arange(self.num_timesteps, dtype=np.float64))
