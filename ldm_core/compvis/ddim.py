"""CompVis' DDIMSampler: its sampling loop over batches. One update with the coroutine."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ldm_core.compvis.conditions import batch_sizes, concat_conditions
from ldm_core.config import TimestepSpacing
from ldm_core.diffusion import gaussian
from ldm_core.diffusion.classifier_guidance import ScoreCorrector
from ldm_core.diffusion.gaussian import Prediction, standard_normal, to_eps_x0
from ldm_core.diffusion.inpainting import MASK_STREAM
from ldm_core.diffusion.samplers import ddim_update, no_blend, scale_noise
from ldm_core.models.latent_diffusion import Condition, LatentDiffusion

Intermediates = dict[str, list[Tensor]]


class DDIMSampler:
    """Samples a batch from a model. What CompVis' code prints is left to `callback`; where it draws from global
    randomness, a generator can be given. Masks and dropout draw from a second one, so that they shift nothing.
    """

    ddim_timesteps: NDArray[np.int64]
    ddim_sigmas: Tensor
    ddim_alphas: Tensor
    ddim_alphas_prev: Tensor
    ddim_sqrt_one_minus_alphas: Tensor
    ddim_sigmas_for_original_num_steps: Tensor
    betas: Tensor
    alphas_cumprod: Tensor
    alphas_cumprod_prev: Tensor
    sqrt_alphas_cumprod: Tensor
    sqrt_one_minus_alphas_cumprod: Tensor

    def __init__(self, model: LatentDiffusion, schedule: str = "linear") -> None:
        """`schedule` is taken and kept as in CompVis' code, which never reads it: the model's own schedule counts."""
        self.model, self.schedule = model, schedule
        self.ddpm_num_timesteps = model.schedule.num_timesteps

    def make_schedule(
        self,
        ddim_num_steps: int,
        ddim_discretize: TimestepSpacing = "uniform",
        ddim_eta: float = 0.0,
        verbose: bool = True,
        end_at_data: bool = False,
    ) -> None:
        """The named arrays, in order of increasing t, on the model's device. Nothing is printed, verbose or not.

        end_at_data makes the last ᾱ_prev 1 instead of CompVis' ᾱ[0].
        """
        del verbose
        device, schedule = self.model.betas.device, self.model.schedule
        for name, value in schedule.buffers().items():
            setattr(self, name, value.to(device))
        grid = schedule.grid(ddim_discretize, ddim_num_steps, ddim_eta, end_at_data)
        self.ddim_timesteps = grid.t.flip(0).numpy().astype(np.int64)
        self.ddim_sigmas, self.ddim_alphas = grid.sigma.flip(0).to(device), grid.alpha_bar.flip(0).to(device)
        self.ddim_alphas_prev = grid.alpha_bar_prev.flip(0).to(device)
        self.ddim_sqrt_one_minus_alphas = (1.0 - self.ddim_alphas).sqrt()
        a, prev = schedule.alphas_cumprod, schedule.alphas_cumprod_prev
        sigmas = ddim_eta * np.sqrt((1 - prev) / (1 - a) * (1 - a / prev))
        self.ddim_sigmas_for_original_num_steps = torch.from_numpy(sigmas.astype(np.float32)).to(device)

    @torch.no_grad()
    def sample(
        self,
        S: int,
        batch_size: int,
        shape: Sequence[int],
        conditioning: Condition = None,
        callback: Callable[[int], object] | None = None,
        normals_sequence: Sequence[Tensor] | None = None,
        img_callback: Callable[[Tensor, int], object] | None = None,
        quantize_x0: bool = False,
        eta: float = 0.0,
        mask: Tensor | None = None,
        x0: Tensor | None = None,
        temperature: float = 1.0,
        noise_dropout: float = 0.0,
        score_corrector: ScoreCorrector | None = None,
        corrector_kwargs: dict[str, Any] | None = None,
        verbose: bool = True,
        x_T: Tensor | None = None,
        log_every_t: int = 100,
        unconditional_guidance_scale: float = 1.0,
        unconditional_conditioning: Condition = None,
        generator: torch.Generator | None = None,
        ddim_discretize: TimestepSpacing = "uniform",
        end_at_data: bool = False,
    ) -> tuple[Tensor, Intermediates]:
        """S steps for a batch of latents `shape` [C,h,w] → (latents [B,C,h,w], {"x_inter", "pred_x0"}).

        normals_sequence holds S draws [B,C,h,w] to use in place of one's own (CompVis' code takes it and ignores it).
        mask is 1 where x0 is kept. Raises ValueError where a condition is not of batch_size (CompVis' code warns only).
        """
        for name, value in (("conditioning", conditioning), ("unconditional_conditioning", unconditional_conditioning)):
            for rows in batch_sizes(value):
                if rows != batch_size:
                    raise ValueError(f"{name} is for {rows} samples, but batch_size is {batch_size}")
        self.make_schedule(S, ddim_discretize, eta, verbose, end_at_data)
        return self.ddim_sampling(
            conditioning,
            (batch_size, *shape),
            x_T,
            callback=callback,
            img_callback=img_callback,
            mask=mask,
            x0=x0,
            log_every_t=log_every_t,
            normals_sequence=normals_sequence,
            generator=generator,
            quantize_denoised=quantize_x0,
            temperature=temperature,
            noise_dropout=noise_dropout,
            score_corrector=score_corrector,
            corrector_kwargs=corrector_kwargs,
            unconditional_guidance_scale=unconditional_guidance_scale,
            unconditional_conditioning=unconditional_conditioning,
        )

    @torch.no_grad()
    def ddim_sampling(
        self,
        cond: Condition,
        shape: Sequence[int],
        x_T: Tensor | None = None,
        ddim_use_original_steps: bool = False,
        callback: Callable[[int], object] | None = None,
        timesteps: int | None = None,
        mask: Tensor | None = None,
        x0: Tensor | None = None,
        img_callback: Callable[[Tensor, int], object] | None = None,
        log_every_t: int = 100,
        normals_sequence: Sequence[Tensor] | None = None,
        generator: torch.Generator | None = None,
        whole_subset: bool = False,
        **step_options: Any,
    ) -> tuple[Tensor, Intermediates]:
        """The loop, after make_schedule.

        `timesteps` asks for the first so many of the grid; CompVis' code then walks one fewer, whole_subset=True
        all of them. step_options go to p_sample_ddim.
        """
        steps = self._steps(timesteps, ddim_use_original_steps, whole_subset)
        x = standard_normal(self.betas.new_empty(tuple(shape)), generator) if x_T is None else x_T
        side = None if generator is None else torch.Generator().manual_seed(generator.initial_seed() ^ MASK_STREAM)
        intermediates: Intermediates = {"x_inter": [x], "pred_x0": [x]}
        blend = partial(self._blend, mask=mask, x0=x0, side=side)
        step_options |= {"use_original_steps": ddim_use_original_steps, "generator": generator, "side_generator": side}
        walk = self._walk(x, cond, steps, blend, normals_sequence, **step_options)
        for i, (index, x, pred_x0) in enumerate(walk):
            if callback:
                callback(i)
            if img_callback:
                img_callback(pred_x0, i)
            if index % log_every_t == 0 or index == len(steps) - 1:
                intermediates["x_inter"].append(x)
                intermediates["pred_x0"].append(pred_x0)
        return x, intermediates

    def _walk(
        self,
        x: Tensor,
        cond: Condition,
        steps: Sequence[int],
        blend: Callable[[Tensor, Tensor], Tensor] = no_blend,
        normals: Sequence[Tensor] | None = None,
        **step_options: Any,
    ) -> Iterator[tuple[int, Tensor, Tensor]]:
        """Down `steps`, which increase → (index, x after it, its x0 estimate), by p_sample_ddim."""
        for index in reversed(range(len(steps))):
            t = torch.full((len(x),), steps[index], device=x.device)
            noise = None if normals is None else normals[len(steps) - 1 - index]
            x, pred_x0 = self.p_sample_ddim(blend(x, t), cond, t, index, noise=noise, **step_options)
            yield index, x, pred_x0

    def _blend(
        self, x: Tensor, t: Tensor, mask: Tensor | None, x0: Tensor | None, side: torch.Generator | None
    ) -> Tensor:
        """x with x0 noised to t where the mask is 1; ValueError for a mask without x0."""
        if mask is None:
            return x
        if x0 is None:
            raise ValueError("a mask needs x0, the latents to keep where it is 1")
        kept = gaussian.q_sample(self, x0, t, standard_normal(x0, side))
        return mask * kept + (1.0 - mask) * x

    def _steps(self, timesteps: int | None, original: bool, whole: bool) -> list[int]:
        """The timesteps of a run, increasing."""
        if original:
            n = self.ddpm_num_timesteps if timesteps is None else timesteps
            if not 1 <= n <= self.ddpm_num_timesteps:
                raise ValueError(f"timesteps must lie in 1…{self.ddpm_num_timesteps}, not {n}")
            return list(range(n))
        grid: list[int] = self.ddim_timesteps.tolist()
        if timesteps is None:
            return grid
        end = min(timesteps, len(grid)) - (0 if whole else 1)
        if end < 1:
            raise ValueError(
                f"a subset of {timesteps} leaves no step: CompVis' code drops one, whole_subset=True keeps it"
            )
        return grid[:end]

    @torch.no_grad()
    def stochastic_encode(
        self,
        x0: Tensor,
        t: Tensor,
        use_original_steps: bool = False,
        noise: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """x0 [B,C,h,w] noised to entry t int64 [B] of the grid (or of the original steps), after make_schedule.

        `decode` with t_start = t begins one entry below that level, in CompVis' scripts too: t_start = t + 1 fits.
        """
        alphas = self.alphas_cumprod if use_original_steps else self.ddim_alphas
        a = gaussian.extract(alphas, t, x0)
        return a.sqrt() * x0 + (1.0 - a).sqrt() * (standard_normal(x0, generator) if noise is None else noise)

    @torch.no_grad()
    def decode(
        self,
        x_latent: Tensor,
        cond: Condition,
        t_start: int,
        unconditional_guidance_scale: float = 1.0,
        unconditional_conditioning: Condition = None,
        use_original_steps: bool = False,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """From x_latent [B,C,h,w] down the first t_start entries of the grid (or of the original steps)."""
        steps = list(range(self.ddpm_num_timesteps)) if use_original_steps else self.ddim_timesteps.tolist()
        if not 1 <= t_start <= len(steps):
            raise ValueError(f"t_start must lie in 1…{len(steps)}, not {t_start}")
        walk = self._walk(
            x_latent,
            cond,
            steps[:t_start],
            use_original_steps=use_original_steps,
            generator=generator,
            unconditional_guidance_scale=unconditional_guidance_scale,
            unconditional_conditioning=unconditional_conditioning,
        )
        _, x, _ = deque(walk, maxlen=1).pop()
        return x

    @torch.no_grad()
    def p_sample_ddim(
        self,
        x: Tensor,
        c: Condition,
        t: Tensor,
        index: int,
        repeat_noise: bool = False,
        use_original_steps: bool = False,
        quantize_denoised: bool = False,
        temperature: float = 1.0,
        noise_dropout: float = 0.0,
        score_corrector: ScoreCorrector | None = None,
        corrector_kwargs: dict[str, Any] | None = None,
        unconditional_guidance_scale: float = 1.0,
        unconditional_conditioning: Condition = None,
        noise: Tensor | None = None,
        generator: torch.Generator | None = None,
        side_generator: torch.Generator | None = None,
    ) -> tuple[Tensor, Tensor]:
        """One step of x [B,C,h,w] at t [B], entry `index` of the arrays → (x at the previous step, x0 estimate)."""
        alphas = self.alphas_cumprod if use_original_steps else self.ddim_alphas
        alphas_prev = self.alphas_cumprod_prev if use_original_steps else self.ddim_alphas_prev
        sigmas = self.ddim_sigmas_for_original_num_steps if use_original_steps else self.ddim_sigmas
        prediction = self._estimate(x, c, t, alphas[index], unconditional_guidance_scale, unconditional_conditioning)
        if score_corrector is not None:
            eps = score_corrector.modify_score(self.model, prediction.eps, x, t, c, **(corrector_kwargs or {}))
            prediction = to_eps_x0("eps", eps, x, alphas[index])
        pred_x0 = self.model.quantize_denoised(prediction.x0) if quantize_denoised else prediction.x0
        draw = standard_normal(x, generator, repeat_noise) if noise is None else noise
        draw = scale_noise(draw, temperature, noise_dropout, side_generator)
        return ddim_update(prediction.eps, pred_x0, alphas_prev[index], sigmas[index], draw), pred_x0

    def _estimate(
        self, x: Tensor, c: Condition, t: Tensor, alpha_bar: Tensor, scale: float, uncond: Condition
    ) -> Prediction:
        """What the model says, after classifier-free guidance (Ho & Salimans 2022), in both words."""
        if uncond is None or scale == 1.0:
            out = self.model.apply_model(x, t, c)
        else:
            both = self.model.apply_model(torch.cat([x, x]), torch.cat([t, t]), concat_conditions(uncond, c))
            without, out = both.chunk(2)
            out = without + scale * (out - without)
        return to_eps_x0(self.model.config.parameterization, out, x, alpha_bar)
