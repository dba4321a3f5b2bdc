"""CompVis' PLMSSampler: pseudo linear multistep over batches (Liu et al. 2022), on DDIMSampler's grid and loop."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from ldm_core.compvis.ddim import DDIMSampler
from ldm_core.diffusion.gaussian import to_eps_x0
from ldm_core.diffusion.samplers import ddim_update
from ldm_core.diffusion.samplers.ddim import ADAMS
from ldm_core.models.latent_diffusion import Condition


class PLMSSampler(DDIMSampler):
    """Deterministic: eta must be 0. The first step asks the network twice, every other once."""

    _seen: list[Tensor]

    def sample(self, *args: Any, **options: Any) -> Any:
        """Arguments and result as for DDIMSampler; ValueError for an eta other than 0."""
        if options.get("eta"):
            raise ValueError(f"PLMS is deterministic: eta must be 0, not {options['eta']}")
        return super().sample(*args, **options)

    plms_sampling = DDIMSampler.ddim_sampling

    def _walk(self, *args: Any, **options: Any) -> Iterator[tuple[int, Tensor, Tensor]]:
        """DDIM's, with nothing seen yet."""
        self._seen = []
        return super()._walk(*args, **options)

    def p_sample_ddim(  # type: ignore[override]
        self, x: Tensor, c: Condition, t: Tensor, index: int, **options: Any
    ) -> tuple[Tensor, Tensor]:
        """One step of the loop: p_sample_plms with what the steps before have seen."""
        original = options.get("use_original_steps", False)
        below = index - 1 if original else int(self.ddim_timesteps[max(index - 1, 0)])
        t_next = torch.full_like(t, max(below, 0))
        for name in ("noise", "generator", "side_generator", "temperature", "noise_dropout", "repeat_noise"):
            options.pop(name, None)
        x, pred_x0, eps = self.p_sample_plms(x, c, t, index, old_eps=self._seen, t_next=t_next, **options)
        self._seen = [*self._seen[-2:], eps]
        return x, pred_x0

    @torch.no_grad()
    def p_sample_plms(
        self,
        x: Tensor,
        c: Condition,
        t: Tensor,
        index: int,
        use_original_steps: bool = False,
        quantize_denoised: bool = False,
        score_corrector: Any = None,
        corrector_kwargs: dict[str, Any] | None = None,
        unconditional_guidance_scale: float = 1.0,
        unconditional_conditioning: Condition = None,
        old_eps: list[Tensor] | None = None,
        t_next: Tensor | None = None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """One step of x [B,C,h,w] at t [B] → (x at the previous step, its x0 estimate, this step's own eps).

        old_eps: those of the steps before, newest last. Without any, eps is the mean of that here and that at the
        end of a first DDIM step, at t_next.
        """
        alphas = self.alphas_cumprod if use_original_steps else self.ddim_alphas
        prev = (self.alphas_cumprod_prev if use_original_steps else self.ddim_alphas_prev)[index]

        def eps_at(x: Tensor, t: Tensor, alpha_bar: Tensor) -> Tensor:
            eps = self._estimate(x, c, t, alpha_bar, unconditional_guidance_scale, unconditional_conditioning).eps
            if score_corrector is None:
                return eps
            return score_corrector.modify_score(self.model, eps, x, t, c, **(corrector_kwargs or {}))

        def stepped(eps: Tensor) -> tuple[Tensor, Tensor]:
            x0 = to_eps_x0("eps", eps, x, alphas[index]).x0
            x0 = self.model.quantize_denoised(x0) if quantize_denoised else x0
            return ddim_update(eps, x0, prev, torch.zeros_like(prev), torch.zeros_like(x)), x0

        eps, seen = eps_at(x, t, alphas[index]), [*(old_eps or [])][-3:]
        if seen:
            weights = ADAMS[len(seen)]
            mixed = sum((w * e for w, e in zip(weights, [eps, *reversed(seen)], strict=True)), torch.zeros_like(eps))
        else:
            mixed = (eps + eps_at(stepped(eps)[0], t if t_next is None else t_next, prev)) / 2.0
        return (*stepped(mixed), eps)
