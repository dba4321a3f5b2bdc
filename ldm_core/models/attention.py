"""Text enters here: CompVis' spatial transformer, its blocks and its cross-attention (Rombach et al. 2022, §3.3)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional as F

from ldm_core.models.ops import attention, attention_weights


class CrossAttention(nn.Module):
    """Multi-head attention from x [B,N,query_dim] to context [B,M,context_dim]; context None is self-attention."""

    def __init__(self, query_dim: int, context_dim: int | None = None, heads: int = 8, dropout: float = 0.0) -> None:
        super().__init__()
        self.heads = heads
        self.to_q = nn.Linear(query_dim, query_dim, bias=False)
        self.to_k = nn.Linear(context_dim or query_dim, query_dim, bias=False)
        self.to_v = nn.Linear(context_dim or query_dim, query_dim, bias=False)
        self.to_out = nn.Sequential(nn.Linear(query_dim, query_dim), nn.Dropout(dropout))

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """→ [B,N,query_dim]."""
        context = x if context is None else context
        q, k, v = (self._split(f(y)) for f, y in ((self.to_q, x), (self.to_k, context), (self.to_v, context)))
        return self.to_out(rearrange(attention(q, k, v), "b h n d -> b n (h d)"))

    def weights(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """The attention map alone: [B,heads,N,M], rows sum to 1."""
        context = x if context is None else context
        return attention_weights(self._split(self.to_q(x)), self._split(self.to_k(context)))

    def _split(self, y: Tensor) -> Tensor:
        return rearrange(y, "b n (h d) -> b h n d", h=self.heads)


class GEGLU(nn.Module):
    """Gated feed-forward (Shazeer 2020), with the exact GELU the published weights were trained with."""

    def __init__(self, dim: int, dim_out: int) -> None:
        super().__init__()
        self.proj = nn.Linear(dim, 2 * dim_out)

    def forward(self, x: Tensor) -> Tensor:
        """[…,dim] → […,dim_out]."""
        x, gate = self.proj(x).chunk(2, dim=-1)
        return x * F.gelu(gate)


class FeedForward(nn.Module):
    """Position-wise: dim → 4·dim (gated) → dim."""

    def __init__(self, dim: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.net = nn.Sequential(GEGLU(dim, 4 * dim), nn.Dropout(dropout), nn.Linear(4 * dim, dim))

    def forward(self, x: Tensor) -> Tensor:
        """[B,N,dim] → [B,N,dim]."""
        return self.net(x)


class BasicTransformerBlock(nn.Module):
    """Self-attention, cross-attention, feed-forward; each pre-normed, each with a residual."""

    def __init__(self, dim: int, context_dim: int | None, heads: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.attn1 = CrossAttention(dim, heads=heads, dropout=dropout)
        self.ff = FeedForward(dim, dropout)
        self.attn2 = CrossAttention(dim, context_dim, heads, dropout)
        self.norm1, self.norm2, self.norm3 = nn.LayerNorm(dim), nn.LayerNorm(dim), nn.LayerNorm(dim)

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """x [B,N,dim], context [B,M,context_dim] → [B,N,dim]."""
        x = x + self.attn1(self.norm1(x))
        x = x + self.attn2(self.norm2(x), context)
        return x + self.ff(self.norm3(x))


class SpatialTransformer(nn.Module):
    """Picture [B,C,h,w] → tokens [B,h·w,C] → blocks → picture, added to the input. The norm is a group norm
    (the walkthrough's drawing says layer norm) with eps 1e-6, where the residual blocks have 1e-5.
    """

    def __init__(
        self,
        channels: int,
        context_dim: int | None,
        heads: int,
        depth: int,
        dropout: float = 0.0,
        groups: int = 32,
    ) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(groups, channels, eps=1e-6)
        self.proj_in = nn.Conv2d(channels, channels, 1)
        self.transformer_blocks = nn.ModuleList(
            BasicTransformerBlock(channels, context_dim, heads, dropout) for _ in range(depth)
        )
        self.proj_out = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """x [B,C,h,w], context [B,M,context_dim] → [B,C,h,w]."""
        h = rearrange(self.proj_in(self.norm(x)), "b c h w -> b (h w) c")
        for block in self.transformer_blocks:
            h = block(h, context)
        return x + self.proj_out(rearrange(h, "b (h w) c -> b c h w", h=x.shape[2]))


class AttentionBlock(nn.Module):
    """Self-attention over positions without a context (Dhariwal & Nichol 2021), of CompVis' unconditional models.

    `qkv` orders its channels head by head, each head's query, key and value together.
    """

    def __init__(self, channels: int, heads: int, groups: int = 32) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.GroupNorm(groups, channels)
        self.qkv = nn.Conv1d(channels, 3 * channels, 1)
        self.proj_out = nn.Conv1d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """[B,C,h,w] → [B,C,h,w]."""
        flat = rearrange(x, "b c h w -> b c (h w)")
        q, k, v = rearrange(
            self.qkv(self.norm(flat)), "b (heads three d) n -> three b heads n d", three=3, heads=self.heads
        )
        h = self.proj_out(rearrange(attention(q, k, v), "b heads n d -> b (heads d) n"))
        return x + rearrange(h, "b c (h w) -> b c h w", h=x.shape[2])


@contextmanager
def cross_attention_maps(unet: nn.Module, wanted: bool = True) -> Iterator[dict[str, Tensor]]:
    """Inside the context every cross-attention of `unet` also leaves its map [B,heads,N,M], with gradients, under the
    name of its block. Not `wanted`: none does.

    The forward itself stays untouched: a hook computes the map a second time, with an explicit softmax, from queries
    and keys of a few tokens.
    """
    maps: dict[str, Tensor] = {}

    def record(name: str) -> Callable[[CrossAttention, tuple[Tensor, ...], Tensor], None]:
        def hook(attn: CrossAttention, args: tuple[Tensor, ...], _out: Tensor) -> None:
            maps[name] = attn.weights(*args)

        return hook

    blocks = [(n, m) for n, m in unet.named_modules() if isinstance(m, BasicTransformerBlock)] if wanted else []
    handles = [block.attn2.register_forward_hook(record(name)) for name, block in blocks]
    try:
        yield maps
    finally:
        for handle in handles:
            handle.remove()
