"""Prompt weights in the syntax people know: `(word)`, `[word]`, `(word:1.3)`; a backslash makes a bracket text.

Round brackets multiply by 1.1, square ones divide by it, a number after a colon stands for itself; brackets nest. An
opening bracket that nobody closes reaches to the end; a closing one that nobody opened is text. Needs no torch: what
weights do to a context is in prompt_weights.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

STEP = 1.1
MAX_WEIGHT = 100  # either way; far beyond what draws anything, far below what half precision can hold
TOKEN = re.compile(r"\\[()\[\]\\]|[()\[\]]|:\s*([+-]?(?:\d+\.?\d*|\.\d+))\s*\)|[^\\()\[\]:]+|[\\:]")


@dataclass(frozen=True)
class Piece:
    """A stretch of text and its weight."""

    text: str
    weight: float


def parse(prompt: str) -> list[Piece]:
    """A prompt → its pieces, brackets and numbers taken out; neighbours of the same weight are one piece."""
    pieces: list[Piece] = []
    open_round: list[int] = []
    open_square: list[int] = []

    def multiply(start: int, factor: float) -> None:
        pieces[start:] = [Piece(p.text, p.weight * factor) for p in pieces[start:]]

    for match in TOKEN.finditer(prompt):
        sign, number = match.group(), match.group(1)
        if sign == "(":
            open_round.append(len(pieces))
        elif sign == "[":
            open_square.append(len(pieces))
        elif number is not None and open_round:
            multiply(open_round.pop(), float(number))
        elif sign == ")" and open_round:
            multiply(open_round.pop(), STEP)
        elif sign == "]" and open_square:
            multiply(open_square.pop(), 1.0 / STEP)
        else:
            escaped = len(sign) == 2 and sign[0] == "\\"
            pieces.append(Piece(sign[1:] if escaped else sign, 1.0))
    for start in open_round:
        multiply(start, STEP)
    for start in open_square:
        multiply(start, 1.0 / STEP)
    return merged(pieces)


def merged(pieces: Sequence[Piece]) -> list[Piece]:
    """Neighbours of the same weight as one piece."""
    out: list[Piece] = []
    for piece in pieces:
        if out and out[-1].weight == piece.weight:
            out[-1] = Piece(out[-1].text + piece.text, piece.weight)
        else:
            out.append(piece)
    return out


def plain(pieces: Sequence[Piece]) -> str:
    """The prompt without brackets and numbers: what is tokenised."""
    return "".join(p.text for p in pieces)


def weight_beyond(pieces: Sequence[Piece]) -> float | None:
    """The first weight that is not within ±MAX_WEIGHT."""
    return next((p.weight for p in pieces if not abs(p.weight) <= MAX_WEIGHT), None)  # `not … <=`: NaN is none either
