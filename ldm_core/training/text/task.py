"""Training the text encoder: CLIP (Radford et al. 2021) on drawings and captions, with a teacher for word meaning."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import CLIPConfig, CLIPModel, CLIPVisionConfig

from ldm_core.config import TextConfig
from ldm_core.data.captions import caption
from ldm_core.data.corpus import Corpus
from ldm_core.data.english import plural
from ldm_core.evaluation.text import concept_names, paraphrase_accuracy
from ldm_core.models.text import clip_text_config, eos_state
from ldm_core.presets import find_preset
from ldm_core.text.tokenizer import Tokenizer
from ldm_core.training.common.ema import LitEma, ema_scope
from ldm_core.training.common.inputs import Inputs
from ldm_core.training.common.loop import descend, step_rng
from ldm_core.training.common.settings import LoopSettings
from ldm_core.training.common.task import Task
from ldm_core.training.common.weights import load_part
from ldm_core.training.text.batches import (
    Words,
    attribute_labels,
    background,
    caption_as,
    encode_trimmed,
    fill,
    pair_batch,
    positive_pairs,
    word_batch,
)
from ldm_core.training.text.distillation import FrozenEncoder, fit_head, translations
from ldm_core.training.text.init import init_as_bag_of_tokens
from ldm_core.training.text.losses import contrastive_loss, distance, relation_loss, soft_target_loss
from ldm_core.training.text.teacher import WIDTH, TeacherCache, definitions, meanings, teaching_words
from ldm_core.training.text.wordnet import PERSON, read_wordnet

RIVALS = 2048  # words that a word is told apart from, in a step
PLURALS = 0.15  # share of the words that are translated from the plural
TOWER = "cond_stage_model.transformer.text_model."  # in a weights file
MAX_LOGIT_SCALE = float(np.log(100.0))  # Radford et al. 2021, §2.5


@dataclass(frozen=True)
class TextTraining:
    """Settings of a text encoder run."""

    preset: str = "EMOJI_128"
    tokenizer: str = "weights/tokenizer"
    common_tokenizer: str = "weights/clip-tokenizer"  # tells common words from rare ones
    wordnet: str = "/usr/share/wordnet"
    loop: LoopSettings = field(default_factory=lambda: LoopSettings(batch=256, lr=1e-3))
    side: int = 64  # pixels of the image tower's input
    patch: int = 16
    vision_width: int = 192
    vision_layers: int = 4
    pair_every: int = 3  # one step in so many sees drawings; the others see words
    pairs: int = 128  # drawings a step
    relation: float = 5.0  # weight of the similarity loss on the hidden state itself
    choice: float = 0.3  # weight of telling a word from others
    look: float = 0.2  # weight of reading style, background and tone off the states
    embedding_scale: float = 0.1  # of the first token embeddings, which come from the teacher
    keep: float = 0.0  # weight of leaving captions where --init has them; above 0 words alone are learnt
    place: float = 0.5  # weight of a word's place among the concepts, where captions are kept
    translate: float = 3.0  # weight of a word's padding being its nearest concept's, where captions are kept

    @property
    def model(self) -> TextConfig:
        """The geometry, by the preset's name."""
        if (text := find_preset(self.preset).text) is None:
            raise ValueError(f"preset {self.preset} has no text encoder")
        return text


def build_clip(settings: TextTraining) -> CLIPModel:
    """Text tower of the preset's geometry, small vision transformer, a common space as wide as the text tower."""
    text = clip_text_config(settings.model)
    vision = CLIPVisionConfig(
        hidden_size=settings.vision_width,
        intermediate_size=4 * settings.vision_width,
        num_hidden_layers=settings.vision_layers,
        num_attention_heads=settings.vision_width // 64,
        image_size=settings.side,
        patch_size=settings.patch,
    )
    width = settings.model.width
    return CLIPModel(CLIPConfig(text_config=text.to_dict(), vision_config=vision.to_dict(), projection_dim=width))


class TextTask(Task):
    """Steps on words (meaning, from the teacher) and on pairs (look, from the drawings), in turn."""

    def __init__(self, settings: TextTraining, corpus: Corpus, words: Words, accelerator: Accelerator) -> None:
        self.settings, self.corpus, self.words, self.accelerator = settings, corpus, words, accelerator
        self.tokenizer = Tokenizer.load(settings.tokenizer, settings.model.text_len)
        torch.manual_seed(settings.loop.seed)
        self.clip = build_clip(settings)
        self.head = nn.Linear(settings.model.width, WIDTH)
        self.attributes = attribute_labels(corpus)
        self.look_head = nn.Linear(settings.model.width, sum(self.attributes.sizes))
        self.clip.to(accelerator.device)
        self.networks: dict[str, nn.Module] = {"clip": self.clip, "head": self.head, "look_head": self.look_head}
        for network in (self.head, self.look_head):
            network.to(accelerator.device)
        self.parameters = [p for network in self.networks.values() for p in network.parameters()]
        decayed = [p for p in self.parameters if p.ndim > 1]
        others = [p for p in self.parameters if p.ndim <= 1]
        groups = [{"params": decayed, "weight_decay": 0.02}, {"params": others, "weight_decay": 0.0}]
        self.optimizers: dict[str, torch.optim.Optimizer] = {
            "clip": torch.optim.AdamW(groups, lr=settings.loop.lr, betas=(0.9, 0.98), fused=True)
        }
        self.averages = {"clip": LitEma(self.clip, settings.loop.ema_decay)}
        self.rows_by_concept = rows_by_concept(corpus)
        self.frozen: FrozenEncoder | None = None
        self.translations: list[tuple[str, str]] = []

    def start_from_teacher(self) -> None:
        """Begin as a bag of tokens that already knows much of what the teacher says; see init.py."""
        init_as_bag_of_tokens(
            self.clip.text_model, self.head, self.words, self.tokenizer, self.settings.embedding_scale
        )
        self.averages["clip"] = LitEma(self.clip, self.settings.loop.ema_decay)

    def hidden(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        """ids [B,L] → states of the first eos and of the last padding, each [B,D]."""
        ids = ids.to(self.accelerator.device)
        return self._eos_and_padding(self.clip.text_model(input_ids=ids).last_hidden_state, ids)

    def _eos_and_padding(self, hidden: Tensor, ids: Tensor) -> tuple[Tensor, Tensor]:
        return eos_state(hidden, ids, self.tokenizer.eos), hidden[:, -1]

    def step(self, step: int) -> Mapping[str, Tensor | float]:
        """One batch of pairs, or one of words."""
        rng = step_rng(self.settings.loop.seed, step)
        with self.accelerator.autocast():
            captioned = self._pairs if self.frozen is None else self._captions
            losses = captioned(rng) if step % self.settings.pair_every == 0 else self._words(rng)
        clip = self.settings.loop.clip
        figures = descend(self.accelerator, losses, self.parameters, self.optimizers["clip"], clip)
        with torch.no_grad():
            self.clip.logit_scale.clamp_(max=MAX_LOGIT_SCALE)
        self.averages["clip"].update(self.clip)
        return figures

    def _words(self, rng: np.random.Generator) -> dict[str, Tensor]:
        texts, target = word_batch(self.words, self.corpus, rng, self.settings.loop.batch)
        target = target.to(self.accelerator.device)
        eos, last = self.hidden(encode_trimmed(self.tokenizer, texts, rng))
        others = torch.from_numpy(self.words.vectors[rng.integers(len(self.words.texts), size=RIVALS)])
        table = torch.cat([target, others.to(target.device)])
        relation = 0.5 * self.settings.relation * (relation_loss(eos, target) + relation_loss(last, target))
        placed = {}
        if self.frozen is not None:
            placed["train/place"] = self.settings.place * self.frozen.neighbour_loss((eos, last), target)
            if self.translations:
                placed["train/translate"] = self.settings.translate * self._translation_loss(self.frozen, rng)
        return {
            **placed,
            "train/teacher": 0.5 * (distance(self.head(eos), target) + distance(self.head(last), target)),
            "train/relation": relation,
            "train/choice": self.settings.choice * soft_target_loss(self.head(eos), target, table),
            "train/look": self._look((eos, last), texts),
        }

    def _look(self, states: tuple[Tensor, Tensor], texts: Sequence[str]) -> Tensor:
        """Style, background and tone must be readable where the text names them: cross-entropy of linear readings."""
        wanted = torch.tensor([self.attributes(text) for text in texts], device=states[0].device)
        loss = self.look_head(states[0]).sum() * 0.0
        for state in states:
            for column, given in enumerate(self.look_head(state).split(self.attributes.sizes, dim=1)):
                if (wanted[:, column] >= 0).any():
                    loss = loss + F.cross_entropy(given, wanted[:, column], ignore_index=-1)
        return 0.5 * self.settings.look * loss

    def _pairs(self, rng: np.random.Generator) -> dict[str, Tensor]:
        s = self.settings
        pairs = pair_batch(self.corpus, self.tokenizer, rng, s.pairs, s.side, self.rows_by_concept)
        states = self.hidden(pairs.ids)
        concepts = [self.corpus.entries[int(r)].concept for r in pairs.rows]
        target = self.words.targets(concepts).to(self.accelerator.device)
        image = self.clip.visual_projection(
            self.clip.vision_model(pixel_values=pairs.images.to(self.accelerator.device)).pooler_output
        )
        positive = positive_pairs(pairs.captions).to(self.accelerator.device)
        losses = [
            contrastive_loss(self.clip.text_projection(h), image, self.clip.logit_scale, positive) for h in states
        ]
        teacher = 0.5 * sum(distance(self.head(h), target) for h in states)
        return {
            "train/contrastive": 0.5 * (losses[0] + losses[1]),
            "train/teacher_captions": torch.as_tensor(teacher),
            "train/look": self._look(states, pairs.captions),
        }

    def _captions(self, rng: np.random.Generator) -> dict[str, Tensor]:
        assert self.frozen is not None
        rows = self.corpus.sample(rng, self.settings.pairs)
        captions = [caption(self.corpus.entries[int(r)], rng, background(rng)) for r in rows]
        ids = encode_trimmed(self.tokenizer, captions, rng).to(self.accelerator.device)
        now = self.clip.text_model(input_ids=ids).last_hidden_state
        return {
            "train/kept": self.settings.keep * self.frozen.distillation_loss(now, ids),
            "train/look": self._look(self._eos_and_padding(now, ids), captions),
        }

    def _translation_loss(self, frozen: FrozenEncoder, rng: np.random.Generator) -> Tensor:
        """The same captions with words in them, and with the concepts that the words are to be drawn as."""
        rows = rng.integers(len(self.translations), size=self.settings.loop.batch)
        pairs, bare = [self.translations[row] for row in rows], rng.random() < 0.5
        frames = ["{}" if bare else caption_as(self.corpus, "{}", rng) for _ in pairs]
        said, meant = [], []
        for frame, (word, concept) in zip(frames, pairs, strict=True):
            many = rng.random() < PLURALS
            said.append(fill(frame, plural(word) if many else word, many))
            meant.append(fill(frame, concept))
        ids = encode_trimmed(self.tokenizer, [*said, *meant], rng, whole=0.25).to(self.accelerator.device)
        ids, meant_ids = ids.chunk(2)
        return frozen.translation_loss(self.clip.text_model(input_ids=ids).last_hidden_state, ids, meant_ids)

    @torch.no_grad()
    def validate(self, step: int) -> Mapping[str, float]:
        """Averaged weights: share of the paraphrases whose nearest concept is right (`evaluate` measures the rest)."""
        with ema_scope(self.averages["clip"], self.clip):
            return {"val/paraphrase": paraphrase_accuracy(self.clip, self.tokenizer, self.corpus)}

    def init_from(self, path: Path) -> None:
        """Start from a weights file's text encoder; the image tower and the heads start anew."""
        load_part(path, TOWER, self.clip.text_model)
        self.averages["clip"] = LitEma(self.clip, self.settings.loop.ema_decay)

    def keep_from(self, path: Path) -> None:
        """Leave captions where a weights file's encoder has them; call before a run's state is read."""
        tower = deepcopy(self.clip.text_model)
        load_part(path, TOWER, tower)
        self.frozen = FrozenEncoder(tower, self.tokenizer, concept_names(self.corpus), self.words)
        self.translations = translations(self.words, self.corpus)
        fit_head(self.head, self.frozen)


def rows_by_concept(corpus: Corpus) -> dict[str, NDArray[np.integer]]:
    """concept → its training rows: every style and skin tone of it."""
    rows: dict[str, list[int]] = {}
    for row in corpus.train:
        rows.setdefault(corpus.entries[int(row)].concept, []).append(int(row))
    return {concept: np.array(found) for concept, found in rows.items()}


def corpus_words(corpus: Corpus) -> list[str]:
    """Names, concepts and tags of the training drawings, each once."""
    entries = [corpus.entries[int(r)] for r in corpus.train]
    return sorted({text for e in entries for text in (e.name, e.concept, *e.tags)})


def gather_words(corpus: Corpus, settings: TextTraining) -> Words:
    """The corpus's words and the dictionary's, with what the teacher says of them."""
    lemmas = read_wordnet(Path(settings.wordnet))
    own = corpus_words(corpus)
    common, rare = teaching_words(lemmas, Tokenizer.load(settings.common_tokenizer, settings.model.text_len))
    common, rare = (sorted(set(part) - set(own)) for part in (common, rare))
    texts = [*own, *common, *rare]
    found = definitions(lemmas, {*common, *rare})  # a name's meaning is its drawings', not a dictionary's first
    vectors = meanings(texts, found, TeacherCache(corpus.path))
    ids = Tokenizer.load(settings.tokenizer, settings.model.text_len)
    lengths = np.array([ids.count(text).tokens for text in texts])
    people = frozenset(lemma.text for lemma in lemmas if lemma.topic == PERSON)
    return Words(texts, vectors, lengths, len(own), len(common), people)


def build(settings: TextTraining, inputs: Inputs, accelerator: Accelerator) -> TextTask:
    """The text encoder's task, begun as a bag of the teacher's meanings, or from a weights file.

    ValueError without a corpus, or where captions are to be kept and no encoder is given that has them.
    """
    if settings.keep and inputs.init is None:
        raise ValueError("keep needs --init WEIGHTS: the encoder whose captions are to stay as they are")
    corpus = Corpus(inputs.corpus)
    task = TextTask(settings, corpus, gather_words(corpus, settings), accelerator)
    task.start_from_teacher()
    if inputs.init:
        task.init_from(inputs.init)
        if settings.keep:
            task.keep_from(inputs.init)
    return task
