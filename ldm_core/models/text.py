"""The text encoder: CLIP's text tower under the checkpoint's names."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel

from ldm_core.config import TextConfig


class FrozenCLIPEmbedder(nn.Module):
    """Token ids → context for cross-attention: the last hidden state after the final layer norm."""

    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        self.config = config
        # the holder gives keys their published prefix "transformer.text_model."
        self.transformer = nn.Module()
        self.transformer.text_model = CLIPTextModel(clip_text_config(config))
        # not in the checkpoint, so it must be real even where the weights are still on the meta device
        positions = torch.from_numpy(np.arange(config.text_len)[None])
        self.transformer.text_model.embeddings.register_buffer("position_ids", positions, persistent=False)

    def forward(self, ids: Tensor) -> Tensor:
        """ids int64 [B,L] → context [B,L,width]."""
        return self.transformer.text_model(input_ids=ids).last_hidden_state  # type: ignore[operator]


def clip_text_config(config: TextConfig) -> CLIPTextConfig:
    """The same tower in transformers' words."""
    return CLIPTextConfig(
        vocab_size=config.vocab,
        hidden_size=config.width,
        intermediate_size=config.intermediate,
        num_hidden_layers=config.layers,
        num_attention_heads=config.heads,
        max_position_embeddings=config.text_len,
        hidden_act=config.hidden_act,
        bos_token_id=config.bos,
        eos_token_id=config.eos,
        pad_token_id=config.eos,
    )


def pooled(hidden: Tensor, ids: Tensor, eos: int) -> tuple[Tensor, Tensor]:
    """Last hidden states [B,L,D] → the first eos's state and the last padding's state, each [B,D]."""
    first = (ids == eos).int().argmax(1)
    return hidden[torch.arange(len(ids), device=ids.device), first], hidden[:, -1]
