"""More words for a text encoder that a UNet knows: captions keep their states, new words find their place there."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import CLIPTextModel

from ldm_core.data.corpus import Corpus
from ldm_core.evaluation.metrics import nearest_rows
from ldm_core.evaluation.text import concept_names, encode_texts
from ldm_core.models.text import eos_state
from ldm_core.text.tokenizer import Tokenizer
from ldm_core.training.text.batches import Words
from ldm_core.training.text.losses import choice_loss

NEAR = 0.35  # least cosine, by the teacher and about the concepts' mean, of a word and the concept it is drawn as
RIDGE = 1e-2  # of the head's fit, relative to the states' variance


class KeptStates:
    """The encoder as it was: the states of any caption, and of every concept as landmarks."""

    def __init__(self, tower: CLIPTextModel, tokenizer: Tokenizer, concepts: Sequence[str], words: Words) -> None:
        """tower is frozen here: hand over a copy."""
        self.tower, self.eos = tower.train(False).requires_grad_(False), tokenizer.eos
        states = encode_texts(self.tower, tokenizer, concepts, self.tower.device)
        self.landmarks = states.eos, states.padding  # [C,D] each
        self.meaning = words.targets(concepts)  # [C,384]

    def drift(self, now: Tensor, ids: Tensor) -> Tensor:
        """How far states [B,L,D] of captions have moved: mean square, as a share of what the states vary by."""
        with torch.no_grad():
            before = self.tower(input_ids=ids).last_hidden_state
        return F.mse_loss(now, before) / before.var()

    def mistranslated(self, now: Tensor, ids: Tensor, meant: Tensor) -> Tensor:
        """How far states [B,L,D] of texts are from the old ones of other texts `meant` [B,L], at their first ends and
        from where both have ended: mean squares, as shares of what the old ones vary by. A UNet reads more there than
        at the words.
        """
        with torch.no_grad():
            goal = self.tower(input_ids=meant).last_hidden_state
        ended = (ids == self.eos) & (meant == self.eos)  # padding is the end token
        first = F.mse_loss(eos_state(now, ids, self.eos), eos_state(goal, meant, self.eos))
        return (F.mse_loss(now[ended], goal[ended]) + first) / goal.var()

    def misplaced(self, states: Sequence[Tensor], target: Tensor) -> Tensor:
        """How differently from the teacher words lie among the concepts: their choice of a concept.

        states: [B,D] at the first eos and the last padding; target: the teacher's vectors [B,384].
        """
        places = [place.to(target) for place in self.landmarks]
        meaning = self.meaning.to(target)
        each = [choice_loss(s, target, meaning, p) for s, p in zip(states, places, strict=True)]
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
def fit_head(head: nn.Linear, kept: KeptStates) -> None:
    """Set the map from states to the teacher's vectors to its ridge regression on the concepts."""
    x = torch.cat(kept.landmarks)
    y = kept.meaning.to(x).repeat(2, 1)
    centred, mean = x - x.mean(0), y.mean(0)
    gram = centred.T @ centred
    gram += RIDGE * gram.trace() / len(gram) * torch.eye(len(gram), device=x.device)
    head.weight.copy_(torch.linalg.solve(gram, centred.T @ (y - mean)).T)
    head.bias.copy_(mean - head.weight @ x.mean(0))
