"""Prompt weights in the syntax people know: `(word)`, `[word]`, `(word:1.3)`; a backslash makes a bracket text.

Round brackets multiply by 1.1, square ones divide by it, a number after a colon stands for itself; brackets nest. An
opening bracket that nobody closes reaches to the end; a closing one that nobody opened is text. Needs no torch: what
weights do to a context is in prompt_weighting.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

STEP = 1.1
MAX_WEIGHT = 100  # either way; far beyond what draws anything, far below what half precision can hold
TOKEN = re.compile(r"\\[()\[\]\\]|[()\[\]]|:\s*([+-]?(?:\d+(?:\.\d*)?|\.\d+))\s*\)|[^\\()\[\]:]+|[\\:]")


@dataclass(frozen=True)
class Piece:
    """A stretch of text and its weight."""

    text: str
    weight: float


class _Nesting:
    """Brackets of one kind: the factor of each, and which one it stands in; 0 is the text outside of all."""

    def __init__(self, factor: float) -> None:
        self.unless_said = factor
        self.factors, self.parents, self.innermost = [1.0], [0], 0

    def open(self) -> None:
        self.factors.append(self.unless_said)
        self.parents.append(self.innermost)
        self.innermost = len(self.factors) - 1

    def close(self, factor: float | None = None) -> None:
        if factor is not None:
            self.factors[self.innermost] = factor
        self.innermost = self.parents[self.innermost]

    def weights(self) -> list[float]:
        """Each bracket's factor times those it stands in."""
        weights = [1.0]
        for factor, parent in zip(self.factors[1:], self.parents[1:], strict=True):
            weights.append(weights[parent] * factor)
        return weights


def parse(prompt: str) -> list[Piece]:
    """A prompt → its pieces, brackets and numbers taken out; neighbours of the same weight are one piece.

    Linear in the prompt's length, however deeply brackets nest.
    """
    found: list[tuple[str, int, int]] = []  # text, and the brackets of either kind it stands in
    rounds, squares = _Nesting(STEP), _Nesting(1.0 / STEP)
    for match in TOKEN.finditer(prompt):
        sign, number = match.group(), match.group(1)
        if sign == "(":
            rounds.open()
        elif sign == "[":
            squares.open()
        elif number is not None and rounds.innermost:
            rounds.close(float(number))
        elif sign == ")" and rounds.innermost:
            rounds.close()
        elif sign == "]" and squares.innermost:
            squares.close()
        else:
            escaped = len(sign) == 2 and sign[0] == "\\"
            found.append((sign[1:] if escaped else sign, rounds.innermost, squares.innermost))
    up, down = rounds.weights(), squares.weights()
    return merge([Piece(text, up[r] * down[s]) for text, r, s in found])


def merge(pieces: Sequence[Piece]) -> list[Piece]:
    """Neighbours of the same weight as one piece."""
    alike = groupby(pieces, key=lambda piece: piece.weight)
    return [Piece("".join(piece.text for piece in group), weight) for weight, group in alike]


def plain(pieces: Sequence[Piece]) -> str:
    """The prompt without brackets and numbers: what is tokenised."""
    return "".join(p.text for p in pieces)


def weight_beyond(pieces: Sequence[Piece]) -> float | None:
    """The first weight that is not within ±MAX_WEIGHT."""
    return next((p.weight for p in pieces if not abs(p.weight) <= MAX_WEIGHT), None)  # `not … <=`: NaN is none either
