"""What the text encoder knows: paraphrases, style, background and tone in its hidden states, held-out retrieval."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import CLIPModel

from ldm_core.data.captions import canonical_caption
from ldm_core.data.colours import BACKGROUNDS
from ldm_core.data.corpus import Corpus, Entry
from ldm_core.evaluation.pictures import composite_rows
from ldm_core.evaluation.probes import ridge_probe
from ldm_core.images import to_tensor
from ldm_core.models.ops import nearest_rows
from ldm_core.models.text import eos_state
from ldm_core.text.tokenizer import Tokenizer

PARAPHRASES = Path(__file__).parents[1] / "data" / "paraphrases.tsv"
BATCH = 256  # texts encoded at once
PROBED = 1000  # captions a probe learns from, and is asked about

Encode = Callable[[Sequence[str]], Tensor]  # texts → [N,D]


def read_paraphrases(path: Path = PARAPHRASES) -> list[tuple[str, tuple[str, ...]]]:
    """Rows (word that no caption holds, words or phrases of which a right concept holds one)."""
    rows = [line.split("\t") for line in path.read_text(encoding="utf-8").splitlines() if line]
    return [(word, tuple(right.split("|"))) for word, right in rows]


def concept_names(corpus: Corpus) -> list[str]:
    """What the training drawings show, each name once."""
    return sorted({corpus.entries[int(r)].concept for r in corpus.train})


def nearest_names(names: Sequence[str], asked: Tensor, known: Tensor) -> list[str]:
    """For states asked [N,D] the names whose states known [C,D] are most similar: cosine about the names' mean."""
    return [names[i] for i in nearest_rows(asked, known)[0].tolist()]


def is_right(name: str, right: Sequence[str]) -> bool:
    """Whether a concept's name holds one of the right words as a whole word."""
    return any(f" {word} " in f" {name} " for word in right)


def paraphrase_share(rows: Sequence[tuple[str, tuple[str, ...]]], names: Sequence[str], encode: Encode) -> float:
    """Share of the words whose nearest name is right."""
    found = nearest_names(names, encode([word for word, _ in rows]), encode(names))
    return float(np.mean([is_right(name, right) for name, (_, right) in zip(found, rows, strict=True)]))


def paraphrase_accuracy(clip: CLIPModel, tokenizer: Tokenizer, corpus: Corpus) -> float:
    """Share of the shipped paraphrases whose nearest concept, by the states at the first eos, is right."""

    def encode(texts: Sequence[str]) -> Tensor:
        return encode_eos(clip.text_model, tokenizer, texts, clip.device)

    return paraphrase_share(read_paraphrases(), concept_names(corpus), encode)


class TextStates(NamedTuple):
    """Last hidden states of N texts, fp32 [N,D] each: what a diffusion model sees of them, in short."""

    eos: Tensor  # at the first eos
    padding: Tensor  # at the last padding of the full length
    mean: Tensor  # over all positions


@torch.no_grad()
def encode_texts(tower: nn.Module, tokenizer: Tokenizer, texts: Sequence[str], device: torch.device) -> TextStates:
    """Texts → their states at the full length; the tower, on that device, is transformers' or ours."""
    found = []
    for i in range(0, len(texts), BATCH):
        ids = tokenizer.encode(list(texts[i : i + BATCH])).to(device)
        hidden = _last_hidden(tower, ids)
        found.append((eos_state(hidden, ids, tokenizer.eos), hidden[:, -1], hidden.mean(1)))
    return TextStates(*(torch.cat(states) for states in zip(*found, strict=True)))


@torch.no_grad()
def encode_eos(tower: nn.Module, tokenizer: Tokenizer, texts: Sequence[str], device: torch.device) -> Tensor:
    """The same states at the first eos alone, in a fraction of the time: causal attention needs no padding there."""
    ids = tokenizer.encode(list(texts))
    first = (ids == tokenizer.eos).int().argmax(1)
    order = first.argsort()
    parts = []
    for rows in torch.split(order, BATCH):
        part = ids[rows, : int(first[rows].max()) + 1].to(device)
        parts.append(eos_state(_last_hidden(tower, part), part, tokenizer.eos))
    return torch.cat(parts)[order.argsort()]


def _last_hidden(tower: nn.Module, ids: Tensor) -> Tensor:
    states = tower(ids)
    hidden: Tensor = states if isinstance(states, Tensor) else states.last_hidden_state
    return hidden.float()


def attribute_accuracies(clip: CLIPModel, tokenizer: Tokenizer, corpus: Corpus) -> dict[str, float]:
    """Can style, background and skin tone be read off the mean hidden state by a linear map? Learnt on training
    captions, asked on held-out ones, whose (concept, style) pairs are new.
    """
    rng = np.random.default_rng(0)
    backgrounds = [str(g) for g in rng.choice(list(BACKGROUNDS)[1:], 2 * PROBED)]

    def captions(rows: NDArray[np.integer], toned: bool) -> tuple[Tensor, list[Entry], list[str]]:
        entries = [corpus.entries[int(r)] for r in rng.permutation(rows)]
        entries = [e for e in entries if e.tone or not toned][:PROBED]
        texts = [canonical_caption(e, g) for e, g in zip(entries, backgrounds, strict=False)]
        mean = encode_texts(clip.text_model, tokenizer, texts, clip.device).mean.cpu()
        return mean, entries, backgrounds[: len(entries)]

    (a, known, on), (b, asked, at) = captions(corpus.train, False), captions(corpus.heldout, False)
    found = {
        "text/style": ridge_probe(a, [e.style for e in known], b, [e.style for e in asked]),
        "text/background": ridge_probe(a, on, b, at),
    }
    (a, known, _), (b, asked, _) = captions(corpus.train, True), captions(corpus.heldout, True)
    return found | {"text/tone": ridge_probe(a, [e.tone for e in known], b, [e.tone for e in asked])}


@torch.no_grad()
def retrieval(clip: CLIPModel, tokenizer: Tokenizer, corpus: Corpus, side: int) -> dict[str, float]:
    """Held-out drawings on coloured backgrounds against all their captions: share found first, and among five."""
    rng, rows = np.random.default_rng(1), corpus.heldout
    backgrounds = [str(g) for g in rng.choice(list(BACKGROUNDS), len(rows))]
    captions = [canonical_caption(corpus.entries[r], g) for r, g in zip(rows, backgrounds, strict=True)]
    text = F.normalize(clip.text_projection(encode_eos(clip.text_model, tokenizer, captions, clip.device)))
    parts = []
    for i in range(0, len(rows), 128):
        drawings = to_tensor(composite_rows(corpus, rows[i : i + 128], backgrounds[i : i + 128]))
        images = F.interpolate(drawings, size=(side, side), mode="area").to(clip.device)
        parts.append(clip.visual_projection(clip.vision_model(pixel_values=images).pooler_output))
    ranked = (F.normalize(torch.cat(parts)) @ text.T).topk(min(5, len(rows)), dim=1).indices.tolist()
    hits = [[captions[k] == captions[i] for k in row] for i, row in enumerate(ranked)]
    top1, top5 = np.mean([h[0] for h in hits]), np.mean([any(h) for h in hits])
    return {"text/retrieval_top1": float(top1), "text/retrieval_top5": float(top5)}


def evaluate(clip: CLIPModel, tokenizer: Tokenizer, corpus: Corpus, side: int) -> dict[str, float]:
    """All figures of a text encoder; `side` is the image tower's input in pixels."""
    names, rows = concept_names(corpus), read_paraphrases()

    def mean(texts: Sequence[str]) -> Tensor:
        return encode_texts(clip.text_model, tokenizer, texts, clip.device).mean

    return {
        "text/paraphrase": paraphrase_accuracy(clip, tokenizer, corpus),
        "text/paraphrase_mean": paraphrase_share(rows, names, mean),
        **attribute_accuracies(clip, tokenizer, corpus),
        **retrieval(clip, tokenizer, corpus, side),
    }
