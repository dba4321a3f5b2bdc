"""The text encoder: CLIP's text tower under the checkpoint's names (Radford et al. 2021, §2.4).

Written out because transformers' own takes two seconds to import, which is longer than everything else between the
command and the first picture but torch; tests hold the two to the same numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional as F

from ldm_core.config import TextConfig

if TYPE_CHECKING:
    from transformers import CLIPTextConfig

LAYER_NORM_EPS = 1e-5
INIT_STD = 0.02  # of embeddings


def quick_gelu(x: Tensor) -> Tensor:
    """x·sigmoid(1.702·x), what OpenAI's CLIP was trained with."""
    return x * torch.sigmoid(1.702 * x)


ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {"quick_gelu": quick_gelu, "gelu": F.gelu}


def _embedding(n: int, width: int) -> nn.Embedding:
    table = torch.empty(n, width)
    if not table.is_meta:  # there normal_ has no values to draw, and would import torch's compiler: a second at start
        nn.init.normal_(table, std=INIT_STD)
    return nn.Embedding(n, width, _weight=table)


class CLIPEmbeddings(nn.Module):
    """Token plus learned position."""

    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        self.token_embedding = _embedding(config.vocab, config.width)
        self.position_embedding = _embedding(config.text_len, config.width)

    def forward(self, ids: Tensor) -> Tensor:
        """ids int64 [B,L] → [B,L,width]."""
        return self.token_embedding(ids) + self.position_embedding.weight[: ids.shape[1]]


class CLIPAttention(nn.Module):
    """Multi-head self-attention; a token sees itself and what stands before it."""

    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        self.heads = config.heads
        self.k_proj, self.v_proj, self.q_proj, self.out_proj = (nn.Linear(config.width, config.width) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        """[B,L,width] → [B,L,width]."""
        q, k, v = (
            rearrange(proj(x), "b l (h d) -> b h l d", h=self.heads) for proj in (self.q_proj, self.k_proj, self.v_proj)
        )
        out = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.out_proj(rearrange(out, "b h l d -> b l (h d)"))


class CLIPMLP(nn.Module):
    """Position-wise: width → intermediate → width."""

    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        if config.hidden_act not in ACTIVATIONS:
            raise ValueError(f"hidden_act must be one of {', '.join(ACTIVATIONS)}, not {config.hidden_act!r}")
        self.activation = ACTIVATIONS[config.hidden_act]
        self.fc1 = nn.Linear(config.width, config.intermediate)
        self.fc2 = nn.Linear(config.intermediate, config.width)

    def forward(self, x: Tensor) -> Tensor:
        """[B,L,width] → [B,L,width]."""
        return self.fc2(self.activation(self.fc1(x)))


class CLIPLayer(nn.Module):
    """Attention and MLP, each pre-normed, each with a residual."""

    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        self.self_attn = CLIPAttention(config)
        self.layer_norm1 = nn.LayerNorm(config.width, eps=LAYER_NORM_EPS)
        self.mlp = CLIPMLP(config)
        self.layer_norm2 = nn.LayerNorm(config.width, eps=LAYER_NORM_EPS)

    def forward(self, x: Tensor) -> Tensor:
        """[B,L,width] → [B,L,width]."""
        x = x + self.self_attn(self.layer_norm1(x))
        return x + self.mlp(self.layer_norm2(x))


class CLIPTextTower(nn.Module):
    """Embeddings, layers, final layer norm."""

    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        self.embeddings = CLIPEmbeddings(config)
        self.encoder = nn.Module()  # a level of the published names
        self.encoder.layers = nn.ModuleList(CLIPLayer(config) for _ in range(config.layers))
        self.final_layer_norm = nn.LayerNorm(config.width, eps=LAYER_NORM_EPS)

    def forward(self, ids: Tensor) -> Tensor:
        """ids int64 [B,L] → the last hidden state after the final layer norm, [B,L,width]."""
        x = self.embeddings(ids)
        for layer in self.encoder.layers:  # type: ignore[union-attr]
            x = layer(x)
        return self.final_layer_norm(x)


class FrozenCLIPEmbedder(nn.Module):
    """Token ids → context for cross-attention."""

    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        self.config = config
        self.transformer = nn.ModuleDict({"text_model": CLIPTextTower(config)})  # the published names' prefix

    def forward(self, ids: Tensor) -> Tensor:
        """ids int64 [B,L] → context [B,L,width]."""
        return self.transformer["text_model"](ids)


def clip_text_config(config: TextConfig) -> CLIPTextConfig:
    """The same tower in transformers' words, for training, which starts from and ends in its modules."""
    from transformers import CLIPTextConfig

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


def eos_state(hidden: Tensor, ids: Tensor, eos: int) -> Tensor:
    """Last hidden states [B,L,D] of ids [B,L] → those at the first eos [B,D], CLIP's pooled output."""
    first = (ids == eos).int().argmax(1)
    return hidden[torch.arange(len(ids), device=ids.device), first]
