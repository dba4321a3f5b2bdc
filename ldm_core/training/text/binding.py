"""Attribute binding: the text encoder's states at the words learn thing, colour, number and role.

A UNet that was trained on single drawings reads a caption's end and padding, one pooled sentence. Two things in one
picture need states that say one thing each, at their own words.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import CLIPTextModel

from ldm_core.data.captions import caption, read_synonyms
from ldm_core.data.corpus import Corpus
from ldm_core.data.english import plural
from ldm_core.evaluation.text import concept_names, encode_eos, paraphrase_accuracy
from ldm_core.text.tokenizer import Tokenizer
from ldm_core.training.common.ema import LitEma, ema_scope
from ldm_core.training.common.inputs import Inputs
from ldm_core.training.common.loop import descend, step_rng
from ldm_core.training.common.settings import LoopSettings, require_positive
from ldm_core.training.common.task import Task
from ldm_core.training.common.weights import load_part
from ldm_core.training.text.batches import background, caption_as, encode_trimmed
from ldm_core.training.text.binding_captions import (
    COLOURS,
    NUMBERS,
    ROLES,
    SlotCaption,
    draw_caption,
    other_words,
)
from ldm_core.training.text.binding_evaluation import read_share, slot_columns
from ldm_core.training.text.losses import soft_target_loss
from ldm_core.training.text.task import TOWER, TextTraining, build_clip

CHOICES: Mapping[str, Sequence[str]] = {"colour": COLOURS, "number": NUMBERS, "role": ROLES}


@dataclass(frozen=True)
class BindingTraining:
    """Settings of a binding run; half of each batch are captions of single drawings."""

    preset: str = "EMOJI_128"
    tokenizer: str = "weights/tokenizer"
    loop: LoopSettings = field(default_factory=lambda: LoopSettings(batch=192, lr=5e-4))
    keep_weight: float = 10.0  # of the distance from the frozen encoder's states at eos and padding
    keep_words_weight: float = 0.5  # of the same at the words of single drawings
    empty_weight: float = 3.0  # of two things' padding being the empty prompt's
    thing_weight: float = 1.0  # of reading the thing
    validated: int = 300  # held-out captions read at a validation

    def __post_init__(self) -> None:
        require_positive(self, "validated")


class BindingTask(Task):
    """Fine-tunes a weights file's text tower, beside a frozen copy of it."""

    def __init__(self, settings: BindingTraining, corpus: Corpus, init: Path, accelerator: Accelerator) -> None:
        """init: a weights file with the encoder to begin with and to stay close to."""
        self.settings, self.corpus, self.accelerator = settings, corpus, accelerator
        text = TextTraining(preset=settings.preset)  # runs save all of CLIP, though only its tower is trained
        self.tokenizer = Tokenizer.load(settings.tokenizer, text.model.text_len)
        torch.manual_seed(settings.loop.seed)
        self.clip = build_clip(text).to(accelerator.device)
        load_part(init, TOWER, self.clip.text_model)
        self.frozen: CLIPTextModel = deepcopy(self.clip.text_model).train(False).requires_grad_(False)
        width = text.model.width
        self.heads = nn.ModuleDict({name: nn.Linear(width, len(options)) for name, options in CHOICES.items()})
        thing = nn.Linear(width, width, bias=False)
        nn.init.eye_(thing.weight)  # a noun's state begins where its name's end is
        self.heads["thing"] = thing
        self.heads.to(accelerator.device)
        self.networks: dict[str, nn.Module] = {"clip": self.clip, "heads": self.heads}
        self.parameters = [*self.clip.text_model.parameters(), *self.heads.parameters()]
        self.optimizers: dict[str, torch.optim.Optimizer] = {
            "clip": torch.optim.AdamW(self.parameters, settings.loop.lr, (0.9, 0.98), weight_decay=0.0, fused=True)
        }
        self.averages = {"clip": LitEma(self.clip, settings.loop.ema_decay)}
        self.synonyms = read_synonyms()
        self.others = other_words(corpus, self.synonyms, list(self.tokenizer.vocab))
        self.styles = sorted({e.style for e in corpus.entries})
        self.concept_states = self._meaning(concept_names(corpus))  # [C,D]

    def step(self, step: int) -> Mapping[str, Tensor | float]:
        """Half a batch of single drawings' captions, half a batch of composed ones."""
        rng = step_rng(self.settings.loop.seed, step)
        half = self.settings.loop.batch // 2
        captions = [draw_caption(rng, self.styles, self.others) for _ in range(half)]
        with self.accelerator.autocast():
            losses = {**self._kept(rng, half), **self._composed(captions, rng)}
        clip = self.settings.loop.clip
        figures = descend(self.accelerator, losses, self.parameters, self.optimizers["clip"], clip)
        self.averages["clip"].update(self.clip)
        return figures

    def _kept(self, rng: np.random.Generator, n: int) -> dict[str, Tensor]:
        """MSE to the frozen encoder on single-drawing captions, at eos/padding and at the words."""
        rows = self.corpus.sample(rng, n // 2)
        texts = [caption(self.corpus.entries[int(r)], rng, background(rng), self.synonyms) for r in rows]
        words = [str(w) for w in rng.choice(self.others, n - len(texts))]
        words = [plural(w) if rng.random() < 0.1 else w for w in words]
        texts += [caption_as(self.corpus, w, rng) if rng.random() < 0.3 else w for w in words]
        ids = encode_trimmed(self.tokenizer, texts, rng).to(self.accelerator.device)
        now, before = self._states(ids)
        ended, variance = ids == self.tokenizer.eos, before.var()
        return {
            "train/kept": self.settings.keep_weight * F.mse_loss(now[ended], before[ended]) / variance,
            "train/kept_words": self.settings.keep_words_weight * F.mse_loss(now[~ended], before[~ended]) / variance,
        }

    def _composed(self, captions: Sequence[SlotCaption], rng: np.random.Generator) -> dict[str, Tensor]:
        s, device = self.settings, self.accelerator.device
        ids = encode_trimmed(self.tokenizer, [c.text for c in captions], rng).to(device)
        now, before = self._states(ids)
        ended, variance = ids == self.tokenizer.eos, before.var()
        two = torch.tensor([c.composed for c in captions], device=device)[:, None]
        empty = self._empty(ids.shape[1]).expand_as(now)
        one, pair = ended & ~two, ended & two
        losses = {
            "train/kept_single": s.keep_weight * F.mse_loss(now[one], before[one]) / variance,
            "train/empty": s.empty_weight * F.mse_loss(now[pair], empty[pair]) / variance,
        }
        rows, columns = slot_columns(captions, self.tokenizer)
        states, slots = now[rows, columns], [slot for c in captions for slot in c.slots]
        for name, options in CHOICES.items():
            wanted = torch.tensor([options.index(getattr(slot, name)) for slot in slots], device=device)
            losses[f"train/{name}"] = F.cross_entropy(self.heads[name](states), wanted)
        meant = self._meaning([slot.thing for slot in slots])
        thing = soft_target_loss(self.heads["thing"](states), meant, self.concept_states)
        losses["train/thing"] = s.thing_weight * thing
        return losses

    def _states(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        """ids [B,L] → states [B,L,D] now, and the frozen encoder's."""
        with torch.no_grad():
            before = self.frozen(input_ids=ids).last_hidden_state.float()
        return self.clip.text_model(input_ids=ids).last_hidden_state.float(), before

    @torch.no_grad()
    def _empty(self, length: int) -> Tensor:
        """The frozen encoder's states of the empty prompt [1,length,D]."""
        ids = self.tokenizer.encode([""])[:, :length].to(self.accelerator.device)
        return self.frozen(input_ids=ids).last_hidden_state.float()

    def _meaning(self, things: Sequence[str]) -> Tensor:
        """The frozen encoder's states [S,D] where the bare names end."""
        return encode_eos(self.frozen, self.tokenizer, things, self.accelerator.device)

    @torch.no_grad()
    def validate(self, step: int) -> Mapping[str, float]:
        """Averaged weights: captions read whole by linear heads, and paraphrases found, which must not fall."""
        with ema_scope(self.averages["clip"], self.clip):
            share = read_share(self.clip.text_model, self.tokenizer, self.styles, self.settings.validated)
            found = paraphrase_accuracy(self.clip, self.tokenizer, self.corpus)
        return {**{f"val/{name}": value for name, value in share.items()}, "val/paraphrase": found}


def build(settings: BindingTraining, inputs: Inputs, accelerator: Accelerator) -> BindingTask:
    """The task that teaches an encoder's states at the words. ValueError without that encoder, or without a corpus."""
    if inputs.init is None:
        raise ValueError("binding needs --init WEIGHTS: the encoder to begin with, whose captions of drawings are kept")
    return BindingTask(settings, Corpus(inputs.corpus), inputs.init, accelerator)
