"""CompVis' ancestral sampling, all T steps over batches (Ho et al. 2020, alg. 2), for DDPM and for LatentDiffusion."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from ldm_core.diffusion import gaussian
from ldm_core.diffusion.classifier_guidance import ScoreCorrector
from ldm_core.diffusion.gaussian import Moments, standard_normal
from ldm_core.diffusion.samplers import scale_noise
from ldm_core.models.latent_diffusion import Condition
from ldm_core.models.latent_diffusion import LatentDiffusion as Network


class AncestralSampling(Network):
    """DDPM's part: no condition of its own kind, no options but the number of samples."""

    num_timesteps: int
    log_every_t: int
    clip_denoised: bool
    channels: int
    image_size: int
    parameterization: Any

    def p_mean_variance(self, x: Tensor, t: Tensor, clip_denoised: bool, cond: Condition = None) -> Moments:
        """Mean, variance, log-variance of p(x_{t−1} | x_t), the estimate of x_0 clipped to [-1,1] if asked."""
        x_recon = gaussian.predict_start(self, self.parameterization, x, t, self.apply_model(x, t, cond))
        return gaussian.q_posterior(self, x_recon.clamp(-1.0, 1.0) if clip_denoised else x_recon, x, t)

    @torch.no_grad()
    def p_sample(
        self,
        x: Tensor,
        t: Tensor,
        clip_denoised: bool = True,
        repeat_noise: bool = False,
        cond: Condition = None,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """One step from t to t − 1 (Ho et al. 2020, alg. 2); at t = 0 no noise is added, though it is drawn."""
        mean, _, log_variance = self.p_mean_variance(x, t, clip_denoised, cond)
        return sample_posterior(mean, log_variance, t, standard_normal(x, generator, repeat_noise))

    @torch.no_grad()
    def p_sample_loop(
        self,
        shape: Sequence[int],
        return_intermediates: bool = False,
        cond: Condition = None,
        generator: torch.Generator | None = None,
    ) -> Any:
        """All T steps from noise [B,C,h,w]; with intermediates also the noise and every log_every_t-th x."""
        x = standard_normal(self.betas.new_empty(tuple(shape)), generator)
        intermediates = [x]
        for i in reversed(range(self.num_timesteps)):
            t = torch.full((shape[0],), i, device=x.device)
            x = self.p_sample(x, t, self.clip_denoised, cond=cond, generator=generator)
            if i % self.log_every_t == 0 or i == self.num_timesteps - 1:
                intermediates.append(x)
        return (x, intermediates) if return_intermediates else x

    def sample(
        self,
        batch_size: int = 16,
        return_intermediates: bool = False,
        cond: Condition = None,
        generator: torch.Generator | None = None,
    ) -> Any:
        """p_sample_loop for `batch_size` samples of the model's own size."""
        shape = (batch_size, self.channels, self.image_size, self.image_size)
        return self.p_sample_loop(shape, return_intermediates, cond, generator)


class LatentSampling(AncestralSampling):
    """LatentDiffusion's part: the condition comes first, as in CompVis' signatures."""

    cond_ids: Tensor | None

    def p_mean_variance(  # type: ignore[override]
        self,
        x: Tensor,
        c: Condition,
        t: Tensor,
        clip_denoised: bool,
        return_codebook_ids: bool = False,
        quantize_denoised: bool = False,
        return_x0: bool = False,
        score_corrector: ScoreCorrector | None = None,
        corrector_kwargs: dict[str, Any] | None = None,
    ) -> tuple[Tensor, ...]:
        """Mean, variance, log-variance of p(x_{t−1} | x_t), and with return_x0 the estimate of x_0 behind them.

        ValueError for return_codebook_ids, which CompVis' code answers with an error of its own.
        """
        if return_codebook_ids:
            raise ValueError("return_codebook_ids is not supported: the codebook's loss is not part of sampling")
        out = self.apply_model(x, t, c)
        if score_corrector is not None:
            if self.parameterization != "eps":
                raise ValueError("a score corrector changes eps: it needs parameterization 'eps'")
            out = score_corrector.modify_score(self, out, x, t, c, **(corrector_kwargs or {}))
        x_recon = gaussian.predict_start(self, self.parameterization, x, t, out)
        x_recon = x_recon.clamp(-1.0, 1.0) if clip_denoised else x_recon
        x_recon = self.quantize_denoised(x_recon) if quantize_denoised else x_recon
        moments = gaussian.q_posterior(self, x_recon, x, t)
        return (*moments, x_recon) if return_x0 else moments

    @torch.no_grad()
    def p_sample(  # type: ignore[override]
        self,
        x: Tensor,
        c: Condition,
        t: Tensor,
        clip_denoised: bool = False,
        repeat_noise: bool = False,
        return_codebook_ids: bool = False,
        quantize_denoised: bool = False,
        return_x0: bool = False,
        temperature: float = 1.0,
        noise_dropout: float = 0.0,
        score_corrector: ScoreCorrector | None = None,
        corrector_kwargs: dict[str, Any] | None = None,
        generator: torch.Generator | None = None,
    ) -> Any:
        """One step of x [B,C,h,w] from t to t − 1; with return_x0 also the estimate of x_0."""
        mean, _, log_variance, x0 = self.p_mean_variance(
            x, c, t, clip_denoised, return_codebook_ids, quantize_denoised, True, score_corrector, corrector_kwargs
        )
        noise = scale_noise(standard_normal(x, generator, repeat_noise), temperature, noise_dropout, generator)
        stepped = sample_posterior(mean, log_variance, t, noise)
        return (stepped, x0) if return_x0 else stepped

    @torch.no_grad()
    def p_sample_loop(  # type: ignore[override]
        self,
        cond: Condition,
        shape: Sequence[int],
        return_intermediates: bool = False,
        x_T: Tensor | None = None,
        verbose: bool = True,
        callback: Callable[[int], object] | None = None,
        timesteps: int | None = None,
        quantize_denoised: bool = False,
        mask: Tensor | None = None,
        x0: Tensor | None = None,
        img_callback: Callable[[Tensor, int], object] | None = None,
        start_T: int | None = None,
        log_every_t: int | None = None,
        generator: torch.Generator | None = None,
    ) -> Any:
        """The last `timesteps` steps (all of them by default) from x_T or noise of `shape` [B,C,h,w].

        start_T asks for fewer; mask is 1 where x0 is kept. Intermediates are the start and every log_every_t-th x.
        Nothing is printed, verbose or not.
        """
        del verbose
        x = start = standard_normal(self.betas.new_empty(tuple(shape)), generator) if x_T is None else x_T
        n, every = self._length(timesteps, start_T), log_every_t or self.log_every_t
        intermediates = [x]
        for i, x, _ in self._reverse(cond, start, n, mask, x0, generator, quantize_denoised=quantize_denoised):
            if i % every == 0 or i == n - 1:
                intermediates.append(x)
            if callback:
                callback(i)
            if img_callback:
                img_callback(x, i)
        return (x, intermediates) if return_intermediates else x

    @torch.no_grad()
    def progressive_denoising(
        self,
        cond: Condition,
        shape: Sequence[int],
        verbose: bool = True,
        callback: Callable[[int], object] | None = None,
        quantize_denoised: bool = False,
        img_callback: Callable[[Tensor, int], object] | None = None,
        mask: Tensor | None = None,
        x0: Tensor | None = None,
        temperature: float = 1.0,
        noise_dropout: float = 0.0,
        score_corrector: ScoreCorrector | None = None,
        corrector_kwargs: dict[str, Any] | None = None,
        batch_size: int | None = None,
        x_T: Tensor | None = None,
        start_T: int | None = None,
        log_every_t: int | None = None,
        generator: torch.Generator | None = None,
    ) -> tuple[Tensor, list[Tensor]]:
        """p_sample_loop that keeps the estimates of x_0 on the way → (x, every log_every_t-th estimate).

        batch_size set, `shape` is that of one sample.
        """
        del verbose
        full = tuple(shape) if batch_size is None else (batch_size, *shape)
        x = start = standard_normal(self.betas.new_empty(full), generator) if x_T is None else x_T
        n, every = self._length(None, start_T), log_every_t or self.log_every_t
        options = {
            "quantize_denoised": quantize_denoised,
            "temperature": temperature,
            "noise_dropout": noise_dropout,
            "score_corrector": score_corrector,
            "corrector_kwargs": corrector_kwargs,
        }
        estimates = []
        for i, x, estimate in self._reverse(cond, start, n, mask, x0, generator, **options):
            if i % every == 0 or i == n - 1:
                estimates.append(estimate)
            if callback:
                callback(i)
            if img_callback:
                img_callback(x, i)
        return x, estimates

    def sample(  # type: ignore[override]
        self,
        cond: Condition = None,
        batch_size: int = 16,
        return_intermediates: bool = False,
        x_T: Tensor | None = None,
        shape: Sequence[int] | None = None,
        **options: Any,
    ) -> Any:
        """p_sample_loop for `batch_size` samples of `shape`, or of the model's own; options as there."""
        own = (batch_size, self.channels, self.image_size, self.image_size)
        return self.p_sample_loop(cond, shape or own, return_intermediates, x_T, **options)

    def noise_condition(self, cond: Condition, t: Tensor, generator: torch.Generator | None) -> Condition:
        """The condition noised to its own level at t, where num_timesteps_cond > 1; otherwise as it is.

        Deviation: CompVis' loops noise what the step before has noised; here each step begins with the clean condition,
        as training does.
        """
        if self.cond_ids is None or not isinstance(cond, Tensor):
            return cond
        return gaussian.q_sample(self, cond, self.cond_ids.to(t.device)[t], standard_normal(cond, generator))

    def _length(self, timesteps: int | None, start_T: int | None) -> int:
        n = min(timesteps or self.num_timesteps, start_T or self.num_timesteps)
        if not 1 <= n <= self.num_timesteps:
            raise ValueError(f"timesteps and start_T must lie in 1…{self.num_timesteps}, not {n}")
        return n

    def _reverse(
        self,
        cond: Condition,
        x: Tensor,
        n: int,
        mask: Tensor | None,
        x0: Tensor | None,
        generator: torch.Generator | None,
        **step: Any,
    ) -> Iterator[tuple[int, Tensor, Tensor]]:
        """Steps n − 1 … 0 → (timestep, x after it, the estimate of x_0 in it)."""
        if mask is not None and (x0 is None or x0.shape[2:] != mask.shape[2:]):
            raise ValueError("a mask needs x0, the latents to keep where it is 1, of its height and width")
        for i in reversed(range(n)):
            t = torch.full((len(x),), i, device=x.device)
            noised = self.noise_condition(cond, t, generator)
            x, estimate = self.p_sample(x, noised, t, self.clip_denoised, return_x0=True, generator=generator, **step)
            if mask is not None and x0 is not None:
                kept = gaussian.q_sample(self, x0, t, standard_normal(x0, generator))
                x = mask * kept + (1.0 - mask) * x
            yield i, x, estimate


def sample_posterior(mean: Tensor, log_variance: Tensor, t: Tensor, noise: Tensor) -> Tensor:
    """A sample of the posterior; its mean where t is 0."""
    some = (t != 0).float().view(-1, *[1] * (mean.ndim - 1))
    return mean + some * (0.5 * log_variance).exp() * noise
