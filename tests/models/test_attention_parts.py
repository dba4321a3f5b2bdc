from __future__ import annotations

import pytest
import torch
from diffusers.models.embeddings import get_timestep_embedding
from torch import Tensor, nn
from torch.nn import functional as F

from ldm_core.models.attention import BasicTransformerBlock, CrossAttention, SpatialTransformer, cross_attention_maps
from ldm_core.models.ops import PLAIN_ATTENTION_SCORES, attention, timestep_embedding


def filled(module: nn.Module, seed: int = 0) -> nn.Module:
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in module.parameters():
            p.copy_(0.3 * torch.randn(p.shape, generator=generator))
    return module.eval()


def noise(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("context", [True, False])
def test_cross_attention_is_torchs_multihead_attention(context: bool):
    width, other = 16, 24 if context else 16
    ours = filled(CrossAttention(width, other if context else None, heads=4))
    peer = nn.MultiheadAttention(width, 4, kdim=other, vdim=other, batch_first=True).eval()
    x, c = noise(2, 9, width), noise(2, 5, other)
    state = {"q_proj_weight": ours.to_q.weight, "k_proj_weight": ours.to_k.weight, "v_proj_weight": ours.to_v.weight}
    if not context:
        state = {"in_proj_weight": torch.cat(list(state.values()))}
        c = x
    state |= {"in_proj_bias": torch.zeros(3 * width)}
    state |= {f"out_proj.{k}": v for k, v in ours.to_out[0].state_dict().items()}
    peer.load_state_dict(state)
    out, maps = peer(x, c, c, average_attn_weights=False)
    torch.testing.assert_close(ours(x, c if context else None), out, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(ours.weights(x, c if context else None), maps, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("n", [8, 300])
def test_both_kernels_agree(n: int):
    q, k, v = (noise(1, 2, n, 8) + i for i in range(3))
    assert (n * n > PLAIN_ATTENTION_SCORES) == (n == 300)
    torch.testing.assert_close(attention(q, k, v), F.scaled_dot_product_attention(q, k, v), rtol=1e-4, atol=1e-5)


def test_a_block_is_three_normed_residuals():
    block = filled(BasicTransformerBlock(16, 24, 4))
    x, c = noise(2, 9, 16), noise(2, 5, 24)
    h = x + block.attn1(block.norm1(x))
    h = h + block.attn2(block.norm2(h), c)
    torch.testing.assert_close(block(x, c), h + block.ff(block.norm3(h)))
    for part in (block.attn1.to_out[0], block.attn2.to_out[0], block.ff.net[2]):
        nn.init.zeros_(part.weight)
        nn.init.zeros_(part.bias)
    torch.testing.assert_close(block(x, c), x)


def test_a_spatial_transformer_is_a_residual_over_positions():
    module = filled(SpatialTransformer(32, 24, heads=4, depth=2))
    x, c = noise(2, 32, 3, 4), noise(2, 5, 24)
    tokens = module.proj_in(module.norm(x)).flatten(2).transpose(1, 2)
    for block in module.transformer_blocks:
        tokens = block(tokens, c)
    expected = x + module.proj_out(tokens.transpose(1, 2).reshape(2, 32, 3, 4))
    torch.testing.assert_close(module(x, c), expected)
    assert isinstance(module.norm, nn.GroupNorm)
    assert module.norm.eps == 1e-6


def test_maps_can_be_read_and_the_forward_is_untouched():
    module = filled(SpatialTransformer(32, 24, heads=4, depth=1))
    x, c = noise(2, 32, 3, 4), noise(2, 5, 24)
    plain = module(x, c)
    with cross_attention_maps(module) as maps:
        assert torch.equal(module(x, c), plain)
    [(name, m)] = maps.items()
    assert name == "transformer_blocks.0" and m.shape == (2, 4, 12, 5)
    torch.testing.assert_close(m.sum(-1), torch.ones(m.shape[:-1]))
    assert not module.transformer_blocks[0].attn2._forward_hooks
    with cross_attention_maps(module, wanted=False) as none:
        module(x, c)
    assert none == {}


@pytest.mark.parametrize("dim", [32, 33])
def test_timestep_embedding_is_the_peers(dim: int):
    t = torch.tensor([0.0, 1.0, 499.5, 999.0])
    peer = get_timestep_embedding(t, dim, flip_sin_to_cos=True, downscale_freq_shift=0)
    torch.testing.assert_close(timestep_embedding(t, dim), peer, rtol=1e-5, atol=1e-4)
