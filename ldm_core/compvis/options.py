"""The options of CompVis' constructors as one frozen value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ldm_core.config import BetaSchedule, ConditioningKey, Parameterization, ScheduleConfig
from ldm_core.losses.diffusion import DiffusionLossConfig


@dataclass(frozen=True)
class DDPMOptions:
    """CompVis' names and defaults; below the line, ours. Bad values raise ValueError here."""

    timesteps: int = 1000
    beta_schedule: BetaSchedule = "linear"
    loss_type: Literal["l1", "l2"] = "l2"
    ckpt_path: str | Path | None = None
    ignore_keys: Sequence[str] = ()  # prefixes of keys in ckpt_path to leave out
    load_only_unet: bool = False
    monitor: str | None = "val/loss"  # what a training loop should watch
    use_ema: bool = True
    first_stage_key: str = "image"  # where a batch keeps its pictures
    image_size: int = 256  # side of what is diffused: pixels, or cells of the latent
    channels: int = 3
    log_every_t: int = 100
    clip_denoised: bool = True
    linear_start: float = 1e-4
    linear_end: float = 2e-2
    cosine_s: float = 8e-3
    given_betas: Sequence[float] | None = None
    original_elbo_weight: float = 0.0
    v_posterior: float = 0.0
    l_simple_weight: float = 1.0
    conditioning_key: ConditioningKey | None = None
    parameterization: Parameterization = "eps"  # "v" is ours
    scheduler_config: Mapping[str, Any] | None = None  # see LambdaLinear
    use_positional_encodings: bool = False  # CompVis: stored and never read. Ours: two channels x, y beside x_t
    learn_logvar: bool = False
    logvar_init: float = 0.0
    # ours
    published_lvlb: bool = True

    def __post_init__(self) -> None:
        for name in ("image_size", "channels", "log_every_t"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        if isinstance(self.ignore_keys, str):
            raise ValueError(f"ignore_keys is a list of prefixes, not the text {self.ignore_keys!r}")

    @property
    def schedule(self) -> ScheduleConfig:
        """The part that register_schedule takes."""
        betas = None if self.given_betas is None else tuple(float(b) for b in self.given_betas)
        return ScheduleConfig(
            beta_schedule=self.beta_schedule,
            timesteps=self.timesteps,
            linear_start=self.linear_start,
            linear_end=self.linear_end,
            cosine_s=self.cosine_s,
            v_posterior=self.v_posterior,
            given_betas=betas,
        )

    @property
    def loss(self) -> DiffusionLossConfig:
        """The part that the loss takes."""
        return DiffusionLossConfig(
            loss_type=self.loss_type,
            l_simple_weight=self.l_simple_weight,
            original_elbo_weight=self.original_elbo_weight,
            learn_logvar=self.learn_logvar,
            logvar_init=self.logvar_init,
            published_lvlb=self.published_lvlb,
        )


@dataclass(frozen=True)
class LambdaLinear:
    """CompVis' learning-rate schedule: warm up from f_start to f_max, then fall to f_min, cycle after cycle.

    One entry a cycle in each field; past the last cycle it stays at f_min.
    """

    warm_up_steps: Sequence[int] = (0,)
    f_min: Sequence[float] = (1.0,)
    f_max: Sequence[float] = (1.0,)
    f_start: Sequence[float] = (1.0,)
    cycle_lengths: Sequence[int] = (1,)

    def __post_init__(self) -> None:
        fields = (self.warm_up_steps, self.f_min, self.f_max, self.f_start, self.cycle_lengths)
        if len({len(field) for field in fields}) != 1 or not self.cycle_lengths:
            raise ValueError(f"every cycle needs a value in each field, not {[len(field) for field in fields]}")

    def __call__(self, step: int) -> float:
        """Factor of the learning rate at a step, counted from 0."""
        cycle, begin = 0, 0
        while cycle < len(self.cycle_lengths) - 1 and step > begin + self.cycle_lengths[cycle]:
            begin += self.cycle_lengths[cycle]
            cycle += 1
        n, warm, length = step - begin, self.warm_up_steps[cycle], self.cycle_lengths[cycle]
        top = self.f_max[cycle]
        if n < warm:
            return self.f_start[cycle] + (top - self.f_start[cycle]) / warm * n
        return self.f_min[cycle] + (top - self.f_min[cycle]) * max(0.0, (length - n) / length)
