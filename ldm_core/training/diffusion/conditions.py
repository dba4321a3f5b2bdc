"""What a diffusion run is conditioned on: text, the style a caption names as a class, or nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from ldm_core.config import ModelConfig
from ldm_core.models.text import FrozenCLIPEmbedder
from ldm_core.shipped import WEIGHTS
from ldm_core.text.tokenizer import Tokenizer
from ldm_core.training.common.frozen_parts import find_run, load_text_encoder

STYLES = ("noto", "twemoji", "3d", "flat", "emojione", "fx", "blob")


class Condition(Protocol):
    """Captions → conditioning, in two halves: `read` runs where batches are drawn, the call on the device."""

    def read(self, prompts: Sequence[str]) -> Tensor:
        """B prompts → cond [B,…] on the CPU: token ids, class ids or states, as the condition's own kind is."""

    def __call__(self, cond: Tensor) -> Tensor:
        """That cond → context [B,L,D] fp32; class ids int64 [B]; zeros [B,1] for unconditional runs. No gradients."""


class PassThrough:
    """A condition whose cond the UNet takes as it is."""

    def __init__(self, device: torch.device | str = "cpu") -> None:
        self.device = device

    def __call__(self, cond: Tensor) -> Tensor:
        """What was read, on the device."""
        return cond.to(self.device, non_blocking=True)


class NoCondition(PassThrough):
    """For unconditional runs: captions are not read."""

    def read(self, prompts: Sequence[str]) -> Tensor:
        """B prompts → zeros [B,1], which the UNet never sees."""
        return torch.zeros(len(prompts), 1)


class StyleClass(PassThrough):
    """For class-conditional runs: the style that a caption names ("red apple, noto style"), as a number."""

    def read(self, prompts: Sequence[str]) -> Tensor:
        """B prompts → class ids int64 [B]; len(STYLES) where no style is named."""
        return torch.tensor(
            [next((i for i, s in enumerate(STYLES) if f"{s} style" in p), len(STYLES)) for p in prompts]
        )


class FrozenText:
    """Prompts → token ids → context, by a tokenizer and a frozen encoder."""

    def __init__(self, tokenizer: Tokenizer, encoder: FrozenCLIPEmbedder, device: torch.device | str = "cpu") -> None:
        self.tokenizer, self.encoder, self.device = tokenizer, encoder.to(device), device

    def read(self, prompts: Sequence[str]) -> Tensor:
        """B prompts → token ids int64 [B,L]."""
        return self.tokenizer.encode(prompts)

    @torch.no_grad()
    def __call__(self, cond: Tensor) -> Tensor:
        """Token ids → context [B,L,D] fp32, under autocast too."""
        context: Tensor = self.encoder(cond.to(self.device, non_blocking=True))
        return context.float()


class EncodedText(PassThrough):
    """The condition of a pool, whose batches hold states already: prompts to look at are encoded when read."""

    def __init__(self, text: Condition, device: torch.device | str = "cpu") -> None:
        super().__init__(device)
        self.text = text

    def read(self, prompts: Sequence[str]) -> Tensor:
        """B prompts → context [B,L,D] fp32."""
        return self.text(self.text.read(prompts)).cpu()


def frozen_text(model: ModelConfig, text: str | None, device: torch.device | str = "cpu") -> FrozenText:
    """The text encoder of a run or a weights file; ValueError where none is named."""
    if text is None or model.text is None:
        raise ValueError(f"a run of {model.name} needs --text RUN")
    encoder = load_text_encoder(find_run(text), model.text)
    return FrozenText(Tokenizer.load(WEIGHTS / "tokenizer", model.text.text_len), encoder, device)


def make_condition(model: ModelConfig, text: str | None, device: torch.device | str = "cpu") -> Condition:
    """What the preset's UNet is conditioned on; text is a run or a weights file, for presets that read captions."""
    if model.conditioning_key is None:
        return NoCondition(device)
    return StyleClass(device) if model.conditioning_key == "adm" else frozen_text(model, text, device)
