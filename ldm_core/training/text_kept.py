"""More words for a text encoder that a UNet knows: captions keep their states, new words find their place there."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import CLIPTextModel

from ldm_core.tokenizer import Tokenizer
from ldm_core.training.text_batches import Words

TEMPERATURE = 0.05  # of a word's choice among the concepts
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
        """How differently from the teacher words lie among the concepts: KL divergence of two softmaxes of cosines.

        states: [B,D] at the first eos and the last padding; target: the teacher's vectors [B,384].
        """
        wanted = _likeness(target, self.meaning.to(target)).softmax(1)
        given = [
            _likeness(state, places.to(state)).log_softmax(1)
            for state, places in zip(states, self.landmarks, strict=True)
        ]
        return sum((F.kl_div(g, wanted, reduction="batchmean") for g in given), wanted.new_zeros(())) / len(given)


def _likeness(x: Tensor, places: Tensor) -> Tensor:
    centre = places.mean(0)
    return F.normalize(x - centre) @ F.normalize(places - centre).T / TEMPERATURE


@torch.no_grad()
def ends(tower: CLIPTextModel, tokenizer: Tokenizer, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
    """Texts → states at the first eos and at the last padding of the full length, [N,D] each."""
    first, last = [], []
    for i in range(0, len(texts), BATCH):
        ids = tokenizer.encode(list(texts[i : i + BATCH])).to(tower.device)
        hidden = tower(input_ids=ids).last_hidden_state.float()
        first.append(hidden[torch.arange(len(ids)), (ids == tokenizer.eos).int().argmax(1)])
        last.append(hidden[:, -1])
    return torch.cat(first), torch.cat(last)


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
