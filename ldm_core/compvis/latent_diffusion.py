"""LatentDiffusion: DDPM behind a first stage and with a condition, under the reference's names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Self

import torch
from torch import Tensor, nn

from ldm_core.compvis.ddpm import DDPM, Batch
from ldm_core.compvis.options import DDPMOptions
from ldm_core.compvis.published import first_stage_from, text_from, unet_from
from ldm_core.config import AutoencoderConfig, ConditioningKey, TextConfig, UNetConfig
from ldm_core.losses.diffusion import Log
from ldm_core.models.latent_diffusion import Condition

FIRST_STAGE, UNCONDITIONAL = "__is_first_stage__", "__is_unconditional__"


class LatentDiffusion(DDPM):
    """The reference's class. cond_stage_config is a text config, a module of one's own, one of the two published words
    (the first stage encodes the condition; there is none), or None: the condition is taken as it comes.

    conditioning_key None means, as published, concat or crossattn by concat_mode. image_size and channels are the
    latent's.
    """

    def __init__(
        self,
        first_stage_config: AutoencoderConfig | Mapping[str, Any],
        cond_stage_config: TextConfig | Mapping[str, Any] | nn.Module | str | None,
        unet_config: UNetConfig | Mapping[str, Any],
        *,
        cond_stage_key: str = "image",
        cond_stage_trainable: bool = False,
        concat_mode: bool = True,
        scale_factor: float = 1.0,
        scale_by_std: bool = False,
        **options: Any,
    ) -> None:
        if isinstance(cond_stage_config, str) and cond_stage_config not in (FIRST_STAGE, UNCONDITIONAL):
            raise ValueError(
                f"cond_stage_config is {FIRST_STAGE}, {UNCONDITIONAL} or a config, not {cond_stage_config!r}"
            )
        key: ConditioningKey = options.pop("conditioning_key", None) or ("concat" if concat_mode else "crossattn")
        text = cond_stage_config if isinstance(cond_stage_config, TextConfig | Mapping) else None
        o = DDPMOptions(**options, conditioning_key=None if cond_stage_config == UNCONDITIONAL else key)
        self._build(
            o,
            unet_from(unet_config),
            first_stage_from(first_stage_config),
            None if text is None else text_from(text),
            scale_factor,
        )
        if isinstance(cond_stage_config, nn.Module):
            self.cond_stage_model: Any = cond_stage_config
        self.cond_is_first_stage = cond_stage_config == FIRST_STAGE
        self.cond_stage_key, self.cond_stage_trainable = cond_stage_key, cond_stage_trainable
        self.scale_by_std = scale_by_std
        self.first_stage_model.requires_grad_(False)
        if hasattr(self, "cond_stage_model"):
            self.cond_stage_model.requires_grad_(cond_stage_trainable)
        self.train()

    def train(self, mode: bool = True) -> Self:
        """As for every module, but what is frozen stays in evaluation: no dropout in a first stage or a condition."""
        super().train(mode)
        self.first_stage_model.eval()
        if hasattr(self, "cond_stage_model") and not self.cond_stage_trainable:
            self.cond_stage_model.eval()
        return self

    scale_is_set = False  # by the first batch, or by a checkpoint

    def adopt(self, state: dict[str, Any], prefix: str) -> None:
        """A published checkpoint also carries the scale that its first batch set."""
        super().adopt(state, prefix)
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
        return self.cond_stage_model(c) if hasattr(self, "cond_stage_model") else c

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

    def apply_model(self, x: Tensor, t: Tensor, cond: Condition | list[Tensor] = None) -> Tensor:
        """cond may also be a list of tensors, all for the one way in that the conditioning key names."""
        if isinstance(cond, list):
            cond = {"c_concat" if self.options.conditioning_key == "concat" else "c_crossattn": cond}
        return super().apply_model(x, t, cond)

    def trained_parameters(self) -> list[nn.Parameter]:
        """The UNet, logvar where it is learned, and the cond stage where it is trainable."""
        stage = self.cond_stage_model.parameters() if self.cond_stage_trainable else ()
        return [*super().trained_parameters(), *stage]
