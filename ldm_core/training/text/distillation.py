"""More words for a text encoder that a UNet knows: captions keep their states, new words find their place there."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import CLIPTextModel

from ldm_core.data.corpus import Corpus
from ldm_core.evaluation.text import concept_names, encode_texts
from ldm_core.models.ops import nearest_rows
from ldm_core.models.text import eos_state
from ldm_core.text.tokenizer import Tokenizer
from ldm_core.training.text.batches import Words
from ldm_core.training.text.losses import soft_target_loss

NEAR = 0.35  # least cosine, by the teacher and about the concepts' mean, of a word and the concept it is drawn as
RIDGE = 1e-2  # of the head's fit, relative to the states' variance


class FrozenEncoder:
    """The text encoder as it was: its states of any caption, and those of every concept."""

    def __init__(self, tower: CLIPTextModel, tokenizer: Tokenizer, concepts: Sequence[str], words: Words) -> None:
        """tower is frozen here: hand over a copy."""
        self.tower, self.eos = tower.train(False).requires_grad_(False), tokenizer.eos
        states = encode_texts(self.tower, tokenizer, concepts, self.tower.device)
        self.concept_states = states.eos, states.padding  # [C,D] each
        self.meaning = words.targets(concepts)  # [C,384]

    def distillation_loss(self, now: Tensor, ids: Tensor) -> Tensor:
        """MSE of states [B,L,D] of captions ids [B,L] to the frozen encoder's, divided by the latter's variance."""
        with torch.no_grad():
            before = self.tower(input_ids=ids).last_hidden_state
        return F.mse_loss(now, before) / before.var()

    def translation_loss(self, now: Tensor, ids: Tensor, meant: Tensor) -> Tensor:
        """MSE to the frozen encoder's states at the first EOS and the shared padding, divided by the targets' variance.

        now: states [B,L,D] of texts ids [B,L]; meant: ids [B,L] of the texts whose states they should have there. A
        UNet reads more there than at the words.
        """
        with torch.no_grad():
            goal = self.tower(input_ids=meant).last_hidden_state
        ended = (ids == self.eos) & (meant == self.eos)  # padding is the end token
        first = F.mse_loss(eos_state(now, ids, self.eos), eos_state(goal, meant, self.eos))
        return (F.mse_loss(now[ended], goal[ended]) + first) / goal.var()

    def neighbour_loss(self, states: Sequence[Tensor], target: Tensor) -> Tensor:
        """KL of teacher's and student's softmax over concepts; states [B,D] at eos and last padding, target [B,384]."""
        meaning, known = self.meaning.to(target), [k.to(target) for k in self.concept_states]
        each = [soft_target_loss(s, target, meaning, k) for s, k in zip(states, known, strict=True)]
        return torch.stack(each).mean()


def translations(words: Words, corpus: Corpus) -> list[tuple[str, str]]:
    """(word, concept it is to be drawn as): for words no caption holds the concept that the teacher finds nearest, and
    every concept for itself, since captions hold no plurals.

    A word for people stands for no concept but those that are drawn in skin tones: nobody is an animal or a thing.
    """
    concepts = concept_names(corpus)
    toned = {entry.concept for entry in corpus.entries if entry.tone}
    found, cosines = nearest_rows(torch.from_numpy(words.vectors), words.targets(concepts))
    pairs = [(words.texts[i], concepts[found[i]]) for i in range(words.own, len(words.texts)) if cosines[i] >= NEAR]
    fair = [(word, concept) for word, concept in pairs if word not in words.people or concept in toned]
    return [*fair, *zip(concepts, concepts, strict=True)]


@torch.no_grad()
def fit_head(head: nn.Linear, frozen: FrozenEncoder) -> None:
    """Set the map from states to the teacher's vectors to its ridge regression on the concepts."""
    x = torch.cat(frozen.concept_states)
    y = frozen.meaning.to(x).repeat(2, 1)
    centred, mean = x - x.mean(0), y.mean(0)
    gram = centred.T @ centred
    gram += RIDGE * gram.trace() / len(gram) * torch.eye(len(gram), device=x.device)
    head.weight.copy_(torch.linalg.solve(gram, centred.T @ (y - mean)).T)
    head.bias.copy_(mean - head.weight @ x.mean(0))
