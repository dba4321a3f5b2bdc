"""English words from a WordNet 3.0 folder (Debian's wordnet-base): lemma, topic, gloss, how common."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

PARTS = ("noun", "verb", "adj", "adv")
# lexicographer files of things a drawing can show (lexnames(5WN)): animal, artifact, body, food, object, person,
# phenomenon, plant; the other nouns only count where texts really use them
DRAWABLE = frozenset({5, 6, 8, 13, 17, 18, 19, 20})
PERSON = 18
UNKIND = re.compile(
    r"slur|offensive|disparag|derogat|obscene|vulgar|genital|sexual|prostitut|mammary|milk-secreting|drug|narcotic"
)


@dataclass(frozen=True)
class Lemma:
    """A word or phrase with its most usual meaning in one part of speech."""

    text: str  # spaces, not underscores
    part: str
    topic: int  # lexicographer file number
    gloss: str  # the definition, without examples
    synonyms: tuple[str, ...]  # of that meaning
    kind: str  # the first synonym of the meaning above it: "a kitten is a kind of young mammal"; '' where none is above
    count: int  # occurrences in WordNet's tagged texts, all meanings of this part of speech together
    proper: bool  # spelt with a capital: names of people, places, species

    @property
    def drawable(self) -> bool:
        """Whether it names a thing or doing that a drawing can show, and no person or place of its own."""
        return self.topic in DRAWABLE and not self.proper

    @property
    def unkind(self) -> bool:
        """Whether its gloss says that it hurts, or speaks of what this model is not for."""
        return bool(UNKIND.search(self.gloss))

    @property
    def definition(self) -> str:
        """One line for the teacher: the word, two synonyms, what it is a kind of, its definition cut to 12 words."""
        kind = f", a kind of {self.kind}" if self.kind else ""
        gloss = " ".join(self.gloss.split()[:12])
        return f"{', '.join([self.text, *self.synonyms[:2]])}{kind}: {gloss}"


@dataclass(frozen=True)
class _Synset:
    topic: int
    words: tuple[str, ...]
    above: str  # offset of the first hypernym, '' where there is none
    gloss: str


def read_wordnet(directory: Path) -> list[Lemma]:
    """Every lemma of the folder, in file order. Raises FileNotFoundError where the folder holds no WordNet."""
    counts = _counts(directory / "cntlist.rev")
    lemmas = []
    for part in PARTS:
        synsets = dict(map(_synset, _lines(directory / f"data.{part}")))
        for line in _lines(directory / f"index.{part}"):
            fields = line.split()
            synset = synsets[fields[-int(fields[2])]]  # the most usual meaning comes first
            text = fields[0].replace("_", " ")
            proper = any(s.lower() == text and s != text for s in synset.words)
            synonyms = tuple(s for s in synset.words if s.lower() != text)
            kind = synsets[synset.above].words[0] if synset.above else ""
            count = counts[fields[0], part]
            lemmas.append(Lemma(text, part, synset.topic, synset.gloss, synonyms, kind, count, proper))
    return lemmas


def most_used(lemmas: Iterable[Lemma]) -> dict[str, Lemma]:
    """Each text → its lemma of the part of speech that WordNet's texts use most."""
    best: dict[str, Lemma] = {}
    for lemma in lemmas:
        if lemma.text not in best or lemma.count > best[lemma.text].count:
            best[lemma.text] = lemma
    return best


def _synset(line: str) -> tuple[str, _Synset]:
    """A line of a data file, wndb(5WN): offset, topic, kind, words, pointers | gloss."""
    head, _, gloss = line.partition(" | ")
    fields = head.split()
    words = int(fields[3], 16)
    spellings = tuple(s.split("(")[0].replace("_", " ") for s in fields[4 : 4 + 2 * words : 2])
    pointers = fields[5 + 2 * words :]
    above = [pointers[4 * i + 1] for i in range(int(fields[4 + 2 * words])) if pointers[4 * i] in ("@", "@i")]
    return fields[0], _Synset(int(fields[1]), spellings, above[0] if above else "", gloss.partition("; ")[0].strip())


def _counts(path: Path) -> Counter[tuple[str, str]]:
    kinds = {"1": "noun", "2": "verb", "3": "adj", "4": "adv", "5": "adj"}
    counts: Counter[tuple[str, str]] = Counter()
    for line in path.read_text(encoding="latin-1").splitlines():
        key, _, count = line.split()
        lemma, _, sense = key.partition("%")
        counts[lemma, kinds[sense[0]]] += int(count)
    return counts


def _lines(path: Path) -> list[str]:
    return [line for line in path.read_text(encoding="latin-1").splitlines() if not line.startswith("  ")]
