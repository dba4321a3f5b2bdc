"""More words for a text encoder that a UNet knows: captions keep their states, new words find their place there."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import CLIPTextModel

from ldm_core.tokenizer import Tokenizer
from ldm_core.training.text_batches import Words
from ldm_core.training.text_losses import choice_loss, pooled

BATCH = 256
RIDGE = 1e-2  # of the head's fit, relative to the states' variance


class KeptStates:
    """The encoder as it was: the states of any caption, and of every concept as landmarks."""

    def __init__(self, tower: CLIPTextModel, tokenizer: Tokenizer, concepts: Sequence[str], words: Words) -> None:
        """tower: frozen here, so nobody else's."""
        self.tower = tower.train(False).requires_grad_(False)
        self.landmarks = ends(self.tower, tokenizer, concepts)  # first eos and last padding, [C,D] each
        self.meaning = words.targets(concepts)  # [C,384]

    def drift(self, now: Tensor, ids: Tensor) -> Tensor:
        """How far states [B,L,D] of captions have moved: mean square, as a share of what the states vary by."""
        with torch.no_grad():
            before = self.tower(input_ids=ids).last_hidden_state
        return F.mse_loss(now, before) / before.var()

    def misplaced(self, states: Sequence[Tensor], target: Tensor) -> Tensor:
        """How differently from the teacher words lie among the concepts: their choice of a concept.

        states: [B,D] at the first eos and the last padding; target: the teacher's vectors [B,384].
        """
        places = [place.to(target) for place in self.landmarks]
        meaning = self.meaning.to(target)
        each = [choice_loss(s, target, meaning, p) for s, p in zip(states, places, strict=True)]
        return torch.stack(each).mean()


@torch.no_grad()
def ends(tower: CLIPTextModel, tokenizer: Tokenizer, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
    """Texts → states at the first eos and at the last padding of the full length, [N,D] each."""
    found = []
    for i in range(0, len(texts), BATCH):
        ids = tokenizer.encode(list(texts[i : i + BATCH])).to(tower.device)
        found.append(pooled(tower(input_ids=ids).last_hidden_state.float(), ids, tokenizer.eos))
    first, last = (torch.cat(states) for states in zip(*found, strict=True))
    return first, last


@torch.no_grad()
def fit_head(head: nn.Linear, kept: KeptStates) -> None:
    """Set the map from states to the teacher's vectors to its ridge regression on the concepts."""
    x = torch.cat(kept.landmarks)
    y = kept.meaning.to(x).repeat(2, 1)
    centred, mean = x - x.mean(0), y.mean(0)
    gram = centred.T @ centred
    gram += RIDGE * gram.trace() / len(gram) * torch.eye(len(gram), device=x.device)
    head.weight.copy_(torch.linalg.solve(gram, centred.T @ (y - mean)).T)
    head.bias.copy_(mean - head.weight @ x.mean(0))
