"""What a drawing shows, for a judge: concepts that differ in gender or direction only are one kind."""

from __future__ import annotations

import re

from ldm_core.data.corpus import Corpus

_PERSON = {"man", "woman", "person", "men", "women", "people"}
_CHILD = {"boy", "girl", "child"}
_WAYS = "left|right|up|down"
_RULES = (
    (re.compile(rf"\b(?:{_WAYS})(?:-(?:{_WAYS}))? (?=arrow\b)"), ""),  # up-left arrow
    (re.compile(r"\b(?:up|down)(?:wards)? button\b"), "arrow button"),
    (re.compile(r" facing (?:left|right)$"), ""),
    (re.compile(rf"\b(pointing|pointed|curving|tilted) (?:{_WAYS})\b"), r"\1"),
    (re.compile(r"\b(?:left|right)(?:wards|-facing)? (?!luggage)"), ""),
    (re.compile(r"^family .*"), "family"),
    (re.compile(r"^woman and man "), ""),
    (re.compile(r"\bolder\b"), "old"),
    (re.compile(r"\bmer(?:man|person)\b"), "mermaid"),
    (re.compile(r"\bm(?:rs|x) claus\b"), "santa claus"),
    (re.compile(r"\bprincess\b"), "prince"),
)


def kind(concept: str) -> str:
    """'woman running facing right' and 'man running' → 'running'; 'up-left arrow' → 'arrow'; skin tone is no part of
    a concept anyhow. What is only a gender stays 'person' or 'child'; flags stay as they are.
    """
    if concept.startswith("flag of "):
        return concept
    text = concept
    for pattern, replacement in _RULES:
        text = pattern.sub(replacement, text)
    kept = [word for word in text.split() if word not in _PERSON | _CHILD]
    if kept:
        return " ".join(kept)
    return "person" if set(text.split()) & _PERSON else "child"


def heldout_captions(corpus: Corpus) -> dict[tuple[str, str], int]:
    """(kind, style) → one held-out row of it, one without a skin tone where there is one; in the corpus's order."""
    rows: dict[tuple[str, str], int] = {}
    for row in corpus.heldout:
        entry = corpus.entries[int(row)]
        key = kind(entry.concept), entry.style
        if key not in rows or (corpus.entries[rows[key]].tone and not entry.tone):
            rows[key] = int(row)
    return rows
