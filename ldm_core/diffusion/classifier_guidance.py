"""Classifier guidance (Dhariwal & Nichol 2021): a classifier of noisy latents pulls the sample towards a class."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import Tensor

from ldm_core.diffusion.denoiser import ModelInput
from ldm_core.diffusion.gaussian import Prediction, to_eps_x0
from ldm_core.diffusion.schedule import NoiseSchedule

NoisyClassifier = Callable[[Tensor, Tensor], Tensor]  # x_t [B,C,h,w], t [B] → logits [B,classes]


class ScoreCorrector(Protocol):
    """CompVis' `score_corrector`: called with guided eps before the sampler steps."""

    def modify_score(self, model: Any, e_t: Tensor, x: Tensor, t: Tensor, c: Any, **kwargs: Any) -> Tensor:
        """eps [B,C,h,w] of x_t [B,C,h,w] at t [B] under condition c → another eps."""
        ...


class ClassifierGuidance:
    """eps − √(1−ᾱ)·scale·∇ log p(y | x_t) (Dhariwal & Nichol 2021, alg. 2).

    At scale 1 and with the exact classifier this is the eps of the data of class y. Labels: int64 [B], or one for all.
    """

    def __init__(
        self, classifier: NoisyClassifier, labels: Tensor | int, schedule: NoiseSchedule, scale: float = 1.0
    ) -> None:
        self.classifier, self.schedule, self.scale = classifier, schedule, scale
        self.labels = torch.as_tensor(labels).reshape(-1)

    def gradient(self, x: Tensor, t: Tensor) -> Tensor:
        """∇_x log p(y | x) for x [B,C,h,w], t [B]."""
        with torch.enable_grad():
            x = x.detach().requires_grad_(True)
            log_p = self.classifier(x, t).log_softmax(dim=1)
            labels = self.labels.to(x.device).expand(len(x))
            (slope,) = torch.autograd.grad(log_p.gather(1, labels[:, None]).sum(), x)
        return slope

    def modify_score(self, model: Any, e_t: Tensor, x: Tensor, t: Tensor, c: Any, **kwargs: Any) -> Tensor:
        """The hook as CompVis' samplers call it; model and condition are not used, further arguments are refused."""
        del model, c
        if kwargs:
            raise TypeError(f"classifier guidance takes no {sorted(kwargs)}")
        a = self.schedule.alpha_bar_at(t.float()).reshape(-1, *[1] * (x.ndim - 1))
        return e_t - (1.0 - a).sqrt() * self.scale * self.gradient(x, t)

    def correct(self, model_input: ModelInput, prediction: Prediction) -> Prediction:
        """The same for one row's prediction, as a driver of coroutines needs it."""
        eps = self.modify_score(None, prediction.eps[None], model_input.x[None], model_input.t.reshape(1), None)[0]
        return to_eps_x0("eps", eps, model_input.x, self.schedule.alpha_bar_at(model_input.t))
