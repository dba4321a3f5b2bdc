"""The whole model as one module whose state dict is a published single-file checkpoint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from ldm_core.config import ConditioningKey, ModelConfig, UNetConfig
from ldm_core.diffusion.schedule import NoiseSchedule
from ldm_core.models.distribution import Posterior
from ldm_core.models.first_stage import make_first_stage
from ldm_core.models.text import FrozenCLIPEmbedder
from ldm_core.models.unet import UNetModel
from ldm_core.models.vq import VQModel

Condition = Tensor | Sequence[Tensor] | Mapping[str, Sequence[Tensor]] | None
"""[B,…] or several of them for the one way in that the conditioning key names; or lists for c_concat, c_crossattn."""


class DiffusionWrapper(nn.Module):
    """Hands the condition to the UNet input that its conditioning key names: channels, attention, both, or class."""

    def __init__(self, unet: UNetConfig, conditioning_key: ConditioningKey | None) -> None:
        super().__init__()
        self.diffusion_model = UNetModel(unet)
        self.conditioning_key = conditioning_key

    def forward(
        self,
        x: Tensor,
        t: Tensor,
        c_concat: Sequence[Tensor] = (),
        c_crossattn: Sequence[Tensor] = (),
    ) -> Tensor:
        """x [B,C,h,w], t [B]; c_concat [B,C',h,w] each; c_crossattn [B,L,D] each (adm: class ids [B]) → [B,out,h,w]."""
        key = self.conditioning_key
        if key in ("concat", "hybrid"):
            x = torch.cat([x, *c_concat], dim=1)
        if key == "adm":
            return self.diffusion_model(x, t, y=c_crossattn[0].long())
        context = torch.cat(list(c_crossattn), dim=1) if key in ("crossattn", "hybrid") else None
        return self.diffusion_model(x, t, context=context)


def in_precision(part: Tensor, dtype: torch.dtype) -> Tensor:
    """A condition in the weights' precision; class numbers stay whole (bf16 has no 257)."""
    return part.to(dtype) if part.is_floating_point() else part


class LatentDiffusion(nn.Module):
    """UNet, first stage, text encoder and schedule buffers (Rombach et al. 2022). No losses, no EMA, no sampling."""

    betas: Tensor
    alphas_cumprod: Tensor

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.schedule = NoiseSchedule.from_config(config.schedule)
        for name, value in self.schedule.buffers().items():
            self.register_buffer(name, value)
        self.model = DiffusionWrapper(config.unet, config.conditioning_key)
        self.first_stage_model = make_first_stage(config.first_stage)
        if config.text is not None:
            self.cond_stage_model = FrozenCLIPEmbedder(config.text)

    def apply_model(self, x: Tensor, t: Tensor, cond: Condition = None) -> Tensor:
        """x [B,C,h,w], t [B], cond: a context [B,L,D], a list, or a dict of c_concat / c_crossattn lists → [B,C,h,w].

        Computed in the weights' precision, answered in that of x: a sampler's own arithmetic may stay in fp32.
        """
        if isinstance(cond, Tensor):
            cond = [cond]
        if isinstance(cond, Sequence):
            cond = {"c_concat" if self.config.conditioning_key == "concat" else "c_crossattn": cond}
        dtype = next(self.model.parameters()).dtype
        parts = {key: [in_precision(part, dtype) for part in given] for key, given in (cond or {}).items()}
        return self.model(x.to(dtype), t, **parts).to(x.dtype)

    def encode_first_stage(self, image: Tensor) -> Posterior:
        """Image [B,3,H,W] in [-1,1] → posterior over unscaled latents; of a VQ stage, before its codebook."""
        return self.first_stage_model.encode(image)

    def get_first_stage_encoding(
        self, posterior: Posterior | Tensor, generator: torch.Generator | None = None
    ) -> Tensor:
        """A sample of the posterior (or the unscaled latent given), scaled to std ≈ 1: z [B,C,h,w]."""
        sample = posterior if isinstance(posterior, Tensor) else posterior.sample(generator)
        return self.config.scale_factor * sample

    def decode_first_stage(self, z: Tensor) -> Tensor:
        """Scaled latent z [B,C,h,w] → image [B,3,f·h,f·w] in about [-1,1]; a VQ stage quantises it first."""
        return self.first_stage_model.decode(z / self.config.scale_factor)

    def quantize_denoised(self, x0: Tensor) -> Tensor:
        """Scaled latent [B,C,h,w] or [C,h,w] → the nearest codebook entries, scaled: a sampler's `project`.

        CompVis' sampler quantises without undoing the scale, which is right only at scale factor 1. Raises
        ValueError for a first stage without a codebook.
        """
        if not isinstance(self.first_stage_model, VQModel):
            raise ValueError(f"quantize_denoised needs a VQ first stage, not {self.config.first_stage.kind!r}")
        book, scale = self.first_stage_model.quantize, self.config.scale_factor
        batch = x0 if x0.ndim == 4 else x0[None]
        quant = scale * book.lookup(book.nearest(batch.to(book.embedding.weight) / scale)).to(x0)
        return quant if x0.ndim == 4 else quant[0]
