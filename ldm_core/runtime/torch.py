"""The reference: the modules themselves, executed eagerly by torch."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from ldm_core.models.latent_diffusion import LatentDiffusion
from ldm_core.runtime.threads import is_small, torch_threads


class TorchRuntime:
    """Eager torch, in the weights' precision and on their device."""

    name = "torch"

    def __init__(self, model: LatentDiffusion, threads: int | None = None) -> None:
        """threads None: one for a small model, every core for a large one."""
        self.model = model
        self.threads = threads
        self._at_a_layer = threads or (1 if is_small(model) else None)
        parameter = next(model.parameters())
        self.device, self.dtype = parameter.device, parameter.dtype

    @contextmanager
    def _computing(self) -> Iterator[None]:
        with torch.no_grad(), torch_threads(self._at_a_layer):
            yield

    @contextmanager
    def _first_stage_in_float32(self) -> Iterator[None]:
        stage = self.model.first_stage_model.float()
        try:
            yield
        finally:  # also where memory runs out: the next picture is made in half precision again
            stage.to(self.dtype)

    def unet(self, x: Tensor, t: Tensor, context: Tensor) -> Tensor:
        """x [B,C,h,w], t [B], context [B,L,D] (or class numbers [B], or nothing [B,0]) → [B,C,h,w]."""
        with self._computing():
            return self.model.apply_model(x.to(self.device), t.to(self.device), context.to(self.device)).float()

    def decode(self, z: Tensor) -> Tensor:
        """Scaled latent z [B,C,h,w] → image [B,3,f·h,f·w], about [-1,1]."""
        with self._computing():
            return self.model.decode_first_stage(z.to(self.device, self.dtype)).float()

    def decode_in_float32(self, z: Tensor) -> Tensor:
        """The same in fp32, for latents whose decoding overflows in half precision."""
        with self._computing(), self._first_stage_in_float32():
            return self.model.decode_first_stage(z.to(self.device, torch.float32))

    def encode(self, image: Tensor) -> Tensor:
        """Image [B,3,H,W] in [-1,1] → the posterior's mode, scaled: [B,C,H/f,W/f]."""
        with self._computing():
            return self._encode(image.to(self.device, self.dtype))

    def encode_in_float32(self, image: Tensor) -> Tensor:
        """The same in fp32, for images whose encoding overflows in half precision."""
        with self._computing(), self._first_stage_in_float32():
            return self._encode(image.to(self.device, torch.float32))

    def _encode(self, image: Tensor) -> Tensor:
        return (self.model.config.scale_factor * self.model.encode_first_stage(image).mode()).float()

    def encode_text(self, ids: Tensor) -> Tensor:
        """Token ids int64 [B,L] → context [B,L,D] in the weights' precision."""
        with self._computing():
            context: Tensor = self.model.cond_stage_model(ids.to(self.device))
            return context
