"""From samplers' inputs to predictions: one network call for many rows, guidance mixed per row."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ldm_core.config import ModelConfig, Parameterization
from ldm_core.diffusion.gaussian import Prediction, to_eps_x0
from ldm_core.diffusion.schedule import NoiseSchedule
from ldm_core.sampling import SamplingParams

ApplyModel = Callable[[Tensor, Tensor, Tensor], Tensor]


@dataclass(frozen=True, eq=False)
class ModelInput:
    """What the model predicts for: x fp32 [C,h,w] at variance-preserving scale, t fp32 scalar, may be fractional."""

    x: Tensor
    t: Tensor
    step: int


@dataclass(frozen=True, eq=False)
class Conditioning:
    """One row's condition: context [L,D] or a class id; without `uncond`, or at scale 1, one term is enough.

    Guidance acts at timesteps within `guided` (Kynkäänniemi et al. 2024); elsewhere the condition is heard alone.
    """

    context: Tensor
    uncond: Tensor | None = None
    guidance_scale: float = 1.0
    guided: tuple[float, float] = (0.0, math.inf)

    @property
    def terms(self) -> list[Tensor]:
        """Contexts the network must see for this row where it is guided, the unconditional one first."""
        if self.uncond is None or self.guidance_scale == 1.0:
            return [self.context]
        return [self.uncond, self.context]

    def terms_at(self, t: Tensor) -> list[Tensor]:
        """Those of timestep t, a scalar."""
        low, high = self.guided
        return self.terms if low <= float(t) <= high else [self.context]


def class_conditioning(config: ModelConfig, params: SamplingParams, scale: float) -> Conditioning:
    """Class ids (adm) or nothing (none) as a row's condition, guided by `scale`.

    The last class is "none in particular", as in configs/diffusion-class.toml: guidance leads away from it. Raises
    ValueError where the model takes something else.
    """
    label = params.label
    if params.prompt or params.negative_prompt:
        raise ValueError(f"{config.name} has no text encoder: it cannot follow a prompt")
    if config.conditioning_key is None:
        if label is not None:
            raise ValueError(f"{config.name} is unconditional: it takes no class")
        return Conditioning(torch.zeros(0))
    if config.conditioning_key != "adm":
        raise ValueError(f"{config.name} is told by pictures ({config.conditioning_key}): sample it with DDIMSampler")
    classes = config.unet.num_classes or 0
    if label is None or not 0 <= label < classes:
        raise ValueError(f"{config.name} draws classes 0…{classes - 1}: it needs one of them, not {label}")
    return Conditioning(torch.tensor(label), torch.tensor(classes - 1), scale)


class Denoiser:
    """Predicts for samplers' inputs with the network; rows may differ in timestep, prompt and guidance."""

    def __init__(
        self,
        apply_model: ApplyModel,
        schedule: NoiseSchedule,
        parameterization: Parameterization,
        device: torch.device | str = "cpu",
    ) -> None:
        """apply_model(x, t, context) takes and returns fp32 (class ids apart) on `device`; may cast internally."""
        self.apply_model = apply_model
        self.schedule = schedule
        self.parameterization = parameterization
        self.device = torch.device(device)

    @torch.no_grad()
    def __call__(self, inputs: Sequence[ModelInput], conditionings: Sequence[Conditioning]) -> list[Prediction]:
        """One forward pass for all rows; classifier-free guidance (Ho & Salimans 2022) mixed in fp32.

        A row with guidance is two rows of the batch. Predictions come back on the inputs' device.
        """
        terms = [c.terms_at(q.t) for q, c in zip(inputs, conditionings, strict=True)]
        x = torch.stack([q.x for q, ts in zip(inputs, terms, strict=True) for _ in ts])
        t = torch.stack([q.t for q, ts in zip(inputs, terms, strict=True) for _ in ts])
        context = torch.stack([term for ts in terms for term in ts])
        where = self.device
        out = self.apply_model(x.to(where), t.to(where), context.to(where)).to(x.device, torch.float32)

        predictions, row = list[Prediction](), 0
        for each, ts, c in zip(inputs, terms, conditionings, strict=True):
            mixed = out[row + len(ts) - 1]
            if len(ts) == 2:
                mixed = out[row] + c.guidance_scale * (mixed - out[row])
            row += len(ts)
            alpha_bar = self.schedule.alpha_bar_at(each.t)
            predictions.append(to_eps_x0(self.parameterization, mixed, each.x, alpha_bar))
        return predictions
