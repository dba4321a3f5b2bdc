"""Further words for what the drawings show: `python -m scripts.synonyms [CORPUS]` writes ldm_core/data/synonyms.tsv.

A word of WordNet's is a synonym of the concept that the text encoder's teacher finds nearest, if WordNet agrees (the
concept's name or one of its tags means the same, or is what the word is a kind of) or the teacher is sure of it and is
not misled by the spelling. Words for people are left out (a loose likeness is no ground to draw somebody), and so are
the words that `evaluate` asks for paraphrases.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path

from ldm_core.data.captions import SYNONYMS
from ldm_core.data.corpus import Corpus
from ldm_core.evaluation.text import concept_names, read_paraphrases
from ldm_core.models.ops import cosines
from ldm_core.training.common.inputs import CORPUS
from ldm_core.training.common.settings import load_settings
from ldm_core.training.text.batches import Words
from ldm_core.training.text.task import TextTraining, gather_words
from ldm_core.training.text.wordnet import PERSON, Lemma, most_used, read_wordnet

CONFIG = Path("configs/text.toml")
NEAR = 0.45  # least cosine of word and concept about the concepts' mean
SURE = 0.5  # least cosine where WordNet does not agree
RIVALS = 8  # concepts that are looked at for a word


def find_synonyms(corpus: Corpus, words: Words, lemmas: Iterable[Lemma]) -> dict[str, list[str]]:
    """Concept → words; each word belongs to one concept."""
    names = concept_names(corpus)
    known = {name: {name, *tags} for name, tags in concept_tags(corpus).items()}
    asked = {word for word, _ in read_paraphrases()}
    said = {word for texts in known.values() for text in texts for word in text.split()}
    usual = {text: lemma for text, lemma in most_used(lemmas).items() if showable(lemma)}
    candidates = [text for text in words.texts[words.own :] if text in usual and text not in asked | said]
    table = cosines(words.targets(candidates), words.targets(names)).numpy()
    found: dict[str, list[str]] = {}
    for word, likeness in zip(candidates, table, strict=True):
        lemma, rivals = usual[word], [i for i in likeness.argsort()[::-1][:RIVALS] if likeness[i] >= NEAR]
        agreed = [i for i in rivals if known[names[i]].intersection([*lemma.synonyms, lemma.kind])]
        sure = [i for i in rivals[:1] if likeness[i] >= SURE and not spelt_alike(word, names[i])]
        for i in (agreed + sure)[:1]:
            found.setdefault(names[i], []).append(word)
    return dict(sorted(found.items()))


def concept_tags(corpus: Corpus) -> dict[str, list[str]]:
    """Training concept → its tags, each once."""
    tags: dict[str, set[str]] = {}
    for row in corpus.train:
        entry = corpus.entries[int(row)]
        tags.setdefault(entry.concept, set()).update(entry.tags)
    return {concept: sorted(found) for concept, found in tags.items()}


def spelt_alike(word: str, name: str) -> bool:
    """Whether a word holds one of a name, or begins like one: a camellia is no camel."""
    return any(part in word or word[:3] == part[:3] for part in name.split() if len(part) >= 3)


def showable(lemma: Lemma) -> bool:
    """Whether it is a thing that a drawing can show, no person, and said without unkindness."""
    thing = lemma.drawable and lemma.part == "noun" and lemma.topic != PERSON
    return thing and not lemma.unkind


def main() -> None:
    """Write the file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("corpus", type=Path, nargs="?", default=CORPUS)
    corpus = Corpus(parser.parse_args().corpus.expanduser())
    settings = load_settings(TextTraining, CONFIG, [])
    found = find_synonyms(corpus, gather_words(corpus, settings), read_wordnet(Path(settings.wordnet)))
    SYNONYMS.write_text("".join(f"{name}\t{'|'.join(words)}\n" for name, words in found.items()), encoding="utf-8")
    print(f"{sum(map(len, found.values()))} words for {len(found)} concepts in {SYNONYMS}")


if __name__ == "__main__":
    main()
