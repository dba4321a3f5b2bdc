"""Where the text encoder starts: as the mean of its tokens, and with tokens whose means say what the teacher says."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from transformers import CLIPTextModel

from ldm_core.text.tokenizer import Tokenizer
from ldm_core.training.text.batches import Words

OWN_WEIGHT = 4.0  # of the corpus's words against the dictionary's
CONJUGATE_STEPS = 30
RIDGE = 0.1  # keeps rare tokens' vectors small


@torch.no_grad()
def init_as_bag_of_tokens(
    tower: CLIPTextModel, head: nn.Linear, words: Words, tokenizer: Tokenizer, scale: float
) -> None:
    """Set tower and head so that a word's state begins near its synonyms' states: the first layer averages the tokens,
    the others add nothing yet, and the tokens' vectors are fitted to the teacher's, in as many main components as the
    tower is wide. `scale` is the spread of the token embeddings. Learning starts there, not from noise.
    """
    target = torch.from_numpy(words.vectors)
    mean = target.mean(0)
    basis = torch.linalg.svd(target - mean, full_matrices=False).Vh[: tower.config.hidden_size]  # [D,E]
    weights = torch.ones(len(target), 1)
    weights[: words.own] = OWN_WEIGHT
    table = fit_tokens(tokenizer.encode(words.texts), (target - mean) @ basis.T, weights, tokenizer)
    known = torch.zeros(len(table), dtype=torch.bool)
    known[torch.unique(tokenizer.encode(words.texts))] = True
    table = (table - table[known].mean(0)) / table[known].std()
    table[~known] = torch.randn(int((~known).sum()), table.shape[1])  # words of styles, and what no word is made of
    tower.embeddings.token_embedding.weight.copy_(scale * table)
    layers: Any = tower.encoder.layers
    for layer in layers:
        for linear in (layer.self_attn.out_proj, layer.mlp.fc2):
            nn.init.zeros_(linear.weight)
    first = layers[0].self_attn
    nn.init.zeros_(first.q_proj.weight)  # every earlier token gets the same attention
    nn.init.eye_(first.v_proj.weight)
    nn.init.eye_(first.out_proj.weight)
    spread = float((target - mean).norm(dim=1).mean())
    head.weight.copy_(basis.T * (spread / tower.config.hidden_size**0.5))  # the final norm makes states of length √D
    head.bias.copy_(mean)


def fit_tokens(ids: Tensor, target: Tensor, weights: Tensor, tokenizer: Tokenizer) -> Tensor:
    """Token vectors [vocab,D] whose mean over a text's tokens (ids [N,L]) is near its target [N,D]: ridge regression
    with weights [N,1], solved by conjugate gradients, since the matrix is sparse.
    """
    inside = ids[:, 1:] != tokenizer.eos
    rows, columns = inside.nonzero().T
    share = 1.0 / inside.sum(1).clamp(min=1)
    index = torch.stack([rows, ids[rows, columns + 1]])
    shares = torch.sparse_coo_tensor(
        index, share[rows], (len(ids), len(tokenizer.vocab)), check_invariants=False
    ).coalesce()
    transposed = torch.sparse_coo_tensor(
        index.flip(0), (share * weights[:, 0])[rows], shares.shape[::-1], check_invariants=False
    ).coalesce()
    x = torch.zeros(len(tokenizer.vocab), target.shape[1])
    residual = torch.sparse.mm(transposed, target)
    direction, power = residual.clone(), residual.square().sum(0)
    for _ in range(CONJUGATE_STEPS):
        image = torch.sparse.mm(transposed, torch.sparse.mm(shares, direction)) + RIDGE * direction
        length = power / (direction * image).sum(0).clamp(min=1e-12)
        x += length * direction
        residual -= length * image
        before, power = power, residual.square().sum(0)
        direction = residual + power / before.clamp(min=1e-12) * direction
    return x
