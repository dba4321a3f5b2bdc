"""CompVis' LatentDiffusion: DDPM behind a first stage and with a condition."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Self

import torch
from torch import Tensor, nn

from ldm_core.compvis.ancestral import LatentSampling
from ldm_core.compvis.configs import condition_from, first_stage_from, unet_from
from ldm_core.compvis.ddim import DDIMSampler
from ldm_core.compvis.ddpm import DDPM, Batch, in_rows
from ldm_core.compvis.options import DDPMOptions
from ldm_core.config import AutoencoderConfig, ConditioningKey, TextConfig, UNetConfig
from ldm_core.diffusion.gaussian import standard_normal
from ldm_core.losses.diffusion import Log
from ldm_core.models.latent_diffusion import Condition
from ldm_core.models.vq import VQModel

QUANTIZED = ("quantize_x0", "quantize_denoised")  # the option's name in DDIM, and where all T steps are walked
FIRST_STAGE, UNCONDITIONAL = "__is_first_stage__", "__is_unconditional__"


class LatentDiffusionAdapter(LatentSampling, DDPM):
    """CompVis' class over our network.

    cond_stage_config is a text config, a module of one's own, CompVis' form of an encoder, one of CompVis' two words
    (the first stage encodes the condition; there is none), or None: the condition is taken as it comes.
    conditioning_key None means concat or crossattn by concat_mode. image_size and channels are the latent's, which are
    never clipped. num_timesteps_cond above 1 noises the condition too, at so many levels over the first timesteps.
    """

    weighs_by_logvar = True

    def __init__(
        self,
        first_stage_config: AutoencoderConfig | Mapping[str, Any],
        cond_stage_config: TextConfig | Mapping[str, Any] | nn.Module | str | None,
        unet_config: UNetConfig | Mapping[str, Any],
        num_timesteps_cond: int | None = None,
        cond_stage_key: str = "image",
        cond_stage_trainable: bool = False,
        concat_mode: bool = True,
        cond_stage_forward: None = None,
        conditioning_key: ConditioningKey | None = None,
        scale_factor: float = 1.0,
        scale_by_std: bool = False,
        **options: Any,
    ) -> None:
        if isinstance(cond_stage_config, str) and cond_stage_config not in (FIRST_STAGE, UNCONDITIONAL):
            raise ValueError(
                f"cond_stage_config is {FIRST_STAGE}, {UNCONDITIONAL} or a config, not {cond_stage_config!r}"
            )
        if cond_stage_forward is not None:
            raise ValueError("cond_stage_forward names a method to call; give cond_stage_config a module of your own")
        key: ConditioningKey = conditioning_key or ("concat" if concat_mode else "crossattn")
        o = DDPMOptions(**options, conditioning_key=None if cond_stage_config == UNCONDITIONAL else key)
        stage = condition_from(cond_stage_config)
        text = stage if isinstance(stage, TextConfig) else None
        self._build(o, unet_from(unet_config), first_stage_from(first_stage_config), text, scale_factor)
        if isinstance(stage, nn.Module):
            self.cond_stage_model: Any = stage
        self.clip_denoised = False  # whatever the option says, as in CompVis' code: latents reach beyond [-1,1]
        self.num_timesteps_cond = num_timesteps_cond or 1
        self.cond_ids = make_cond_schedule(self.num_timesteps_cond, self.num_timesteps)
        self.cond_is_first_stage = cond_stage_config == FIRST_STAGE
        self.cond_stage_key, self.cond_stage_trainable = cond_stage_key, cond_stage_trainable
        self.scale_by_std = scale_by_std
        self.scale_is_set = False  # by the first batch, or by a checkpoint
        self.first_stage_model.requires_grad_(False)
        if hasattr(self, "cond_stage_model"):
            self.cond_stage_model.requires_grad_(cond_stage_trainable)
        self._load_checkpoint()
        self.train()

    def train(self, mode: bool = True) -> Self:
        """As for every module, but what is frozen stays in evaluation: no dropout in a first stage or a condition."""
        super().train(mode)
        self.first_stage_model.eval()
        if hasattr(self, "cond_stage_model") and not self.cond_stage_trainable:
            self.cond_stage_model.eval()
        return self

    def translate_state(self, state: dict[str, Any], prefix: str) -> None:
        """A checkpoint of CompVis' code also carries the scale that its first batch set."""
        super().translate_state(state, prefix)
        scale = state.pop(prefix + "scale_factor", None)
        if scale is not None:
            self.config = replace(self.config, scale_factor=float(scale))
            self.scale_is_set = True

    @property
    def scale_factor(self) -> float:
        """What latents are multiplied by, to have a standard deviation near 1."""
        return self.config.scale_factor

    @torch.no_grad()
    def on_train_batch_start(self, batch: Batch, generator: torch.Generator | None = None) -> None:
        """With scale_by_std, the first batch sets the scale factor to 1/std of its latents, once."""
        if not self.scale_by_std or self.scale_is_set:
            return
        if self.scale_factor != 1.0:
            raise ValueError(f"scale_by_std sets the scale factor, so {self.scale_factor} must not be given as well")
        image = super().get_input(batch, self.first_stage_key).to(self.betas.device)
        latents = self.encode_first_stage(image).sample(generator)
        self.config = replace(self.config, scale_factor=1.0 / float(latents.std()))
        self.scale_is_set = True

    def get_learned_conditioning(self, c: Any) -> Any:
        """The condition as the UNet takes it: the first stage's mode, unscaled; a module's output; or as it is."""
        if self.cond_is_first_stage:
            return self.encode_first_stage(c).mode()
        if not hasattr(self, "cond_stage_model"):
            return c
        stage = self.cond_stage_model  # a first stage of its own for the condition encodes, and has a posterior
        encoded = stage.encode(c) if hasattr(stage, "encode") else stage(c)
        return encoded.mode() if hasattr(encoded, "mode") and not isinstance(encoded, Tensor) else encoded

    @torch.no_grad()
    def get_input(
        self,
        batch: Batch,
        k: str,
        bs: int | None = None,
        return_first_stage_outputs: bool = False,
        force_c_encode: bool = False,
        cond_key: str | None = None,
        return_original_cond: bool = False,
        generator: torch.Generator | None = None,
    ) -> list[Any]:
        """[z, c], then image and reconstruction, then the raw condition, as asked; of the first `bs` samples.

        A condition of four dimensions, with concat also of three, is taken for pictures [B,H,W,C]. For a trainable cond
        stage it stays raw unless force_c_encode, so that its gradients arise in the loss.
        """
        x = super().get_input(batch, k)[:bs].to(self.betas.device)
        z = self.get_first_stage_encoding(self.encode_first_stage(x), generator).detach()
        key = cond_key or self.cond_stage_key
        raw = None if self.options.conditioning_key is None else self._raw_condition(batch, key, bs)
        encode = raw is not None and (not self.cond_stage_trainable or force_c_encode)
        out: list[Any] = [z, self.get_learned_conditioning(raw) if encode else raw]
        if return_first_stage_outputs:
            out += [x, self.decode_first_stage(z)]
        return [*out, raw] if return_original_cond else out

    def _raw_condition(self, batch: Batch, key: str, bs: int | None) -> Any:
        value = batch[key]
        if not isinstance(value, Tensor):
            return value[:bs]
        picture = value.ndim == 4 or (value.ndim == 3 and self.options.conditioning_key == "concat")
        value = super().get_input(batch, key) if picture else value
        return value[:bs].to(self.betas.device)

    def shared_step(self, batch: Batch, generator: torch.Generator | None = None) -> tuple[Tensor, Log]:
        """Loss and log of a batch with its condition."""
        z, c = self.get_input(batch, self.first_stage_key, generator=generator)
        return self(z, c, generator=generator)

    def forward(self, x: Tensor, cond: Any = None, generator: torch.Generator | None = None) -> tuple[Tensor, Log]:
        """p_losses of latents x at drawn timesteps; a trainable cond stage encodes here, with gradients."""
        if cond is not None and self.cond_stage_trainable:
            cond = self.get_learned_conditioning(cond)
        return super().forward(x, cond, generator)

    def p_losses(
        self,
        x_start: Tensor,
        t: Tensor,
        noise: Tensor | None = None,
        cond: Condition = None,
        generator: torch.Generator | None = None,
    ) -> tuple[Tensor, Log]:
        """As for DDPM, with a condition noised to its own level where num_timesteps_cond > 1."""
        noise = standard_normal(x_start, generator) if noise is None else noise
        return super().p_losses(x_start, t, noise, self.noise_condition(cond, t, generator), generator)

    def trained_parameters(self) -> list[nn.Parameter]:
        """The UNet, logvar where it is learned, and the cond stage where it is trainable."""
        stage = self.cond_stage_model.parameters() if self.cond_stage_trainable else ()
        return [*super().trained_parameters(), *stage]

    @torch.no_grad()
    def log_images(  # type: ignore[override]
        self,
        batch: Batch,
        N: int = 8,
        n_row: int = 4,
        sample: bool = True,
        ddim_steps: int | None = 200,
        ddim_eta: float = 1.0,
        return_keys: Sequence[str] | None = None,
        quantize_denoised: bool = True,
        inpaint: bool = True,
        plot_denoise_rows: bool = False,
        plot_progressive_rows: bool = True,
        plot_diffusion_rows: bool = True,
        generator: torch.Generator | None = None,
    ) -> dict[str, Tensor]:
        """Decoded pictures [B,3,H,W] in about [-1,1] by CompVis' names; ddim_steps None walks all T steps.

        inputs, reconstruction; conditioning where it is a picture or the condition's stage can decode it;
        diffusion_row; samples (and denoise_row); samples_x0_quantized of a VQ stage; samples_inpainting and
        samples_outpainting with their mask; progressive_row. Rows are as in DDPM.
        """
        found = self.get_input(batch, self.first_stage_key, N, True, True, None, True, generator)
        z, c, x, rec, raw = found
        pictures = {"inputs": x, "reconstruction": rec}
        if hasattr(getattr(self, "cond_stage_model", None), "decode"):
            pictures["conditioning"] = self.cond_stage_model.decode(c)
        elif isinstance(raw, Tensor) and raw.ndim == 4 and raw.shape[1] in (1, 3):
            pictures["conditioning"] = raw
        decode = self.decode_first_stage
        if plot_diffusion_rows:
            pictures["diffusion_row"] = decode(self.noised_row(z[:n_row]))
        if sample:
            with self.ema_scope():
                run: dict[str, Any] = {"ddim_steps": ddim_steps, "eta": ddim_eta, "generator": generator}
                samples, steps = self.sample_log(c, len(z), **run)
                pictures["samples"] = decode(samples)
                if plot_denoise_rows:
                    pictures["denoise_row"] = decode(in_rows(steps, n_row))
                if quantize_denoised and isinstance(self.first_stage_model, VQModel):
                    quantized = self.sample_log(c, len(z), **{QUANTIZED[ddim_steps is None]: True}, **run)
                    pictures["samples_x0_quantized"] = decode(quantized[0])
                if inpaint:
                    mask = torch.ones_like(z[:, :1])
                    h, w = z.shape[2:]
                    mask[:, :, h // 4 : 3 * h // 4, w // 4 : 3 * w // 4] = 0.0  # the middle is made anew
                    pictures["mask"] = mask
                    for name, kept in (("samples_inpainting", mask), ("samples_outpainting", 1.0 - mask)):
                        pictures[name] = decode(self.sample_log(c, len(z), mask=kept, x0=z, **run)[0])
        if plot_progressive_rows:
            with self.ema_scope():
                _, estimates = self.progressive_denoising(c, tuple(z.shape), generator=generator)
            pictures["progressive_row"] = decode(in_rows(estimates, n_row))
        return pictures if return_keys is None else {key: pictures[key] for key in return_keys}

    def sample_log(
        self, cond: Condition, batch_size: int, ddim_steps: int | None, **options: Any
    ) -> tuple[Tensor, list[Tensor]]:
        """Latents [B,C,h,w] by DDIM, or by all T steps where ddim_steps is None, and the states on the way."""
        if ddim_steps is not None:
            shape = (self.channels, self.image_size, self.image_size)
            x, seen = DDIMSampler(self).sample(ddim_steps, batch_size, shape, cond, **options)
            return x, seen["x_inter"]
        options.pop("eta", None)
        return self.sample(cond, batch_size, return_intermediates=True, **options)


def make_cond_schedule(levels: int, timesteps: int) -> Tensor | None:
    """Timestep of the data → that of the condition, int64 [T]: `levels` over the first ones, then T − 1; None for 1."""
    if not 1 <= levels <= timesteps:
        raise ValueError(f"num_timesteps_cond must lie in 1…{timesteps}, not {levels}")
    if levels == 1:
        return None
    ids = torch.full((timesteps,), timesteps - 1, dtype=torch.int64)
    ids[:levels] = torch.linspace(0, timesteps - 1, levels).round().long()
    return ids


LatentDiffusion = LatentDiffusionAdapter  # CompVis' name, by which its users and its configuration files ask for it
