"""Prompt → token ids: CLIP's byte-level BPE, which says what it had to drop."""

from __future__ import annotations

import errno
import html
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ldm_core.files import read_text

if TYPE_CHECKING:
    from torch import Tensor

MOST = 20_000_000  # bytes of a vocabulary file; CLIP's has 1 MB
CLIP_WORDS = 49_408  # the size of CLIP's own vocabulary
BOS, EOS = "<|startoftext|>", "<|endoftext|>"
WORDS = r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"  # CLIP's


@dataclass(frozen=True)
class TokenCount:
    """How much of a text fits. tokens and limit leave out bos and eos; truncated is the dropped tail, '' if none."""

    tokens: int
    limit: int
    truncated: str


class Tokenizer:
    """CLIP's tokenizer at a fixed length: bos, tokens, eos, then eos again as padding (as SD v1 does)."""

    def __init__(self, backend: Any, length: int) -> None:
        """backend: what `clip_bpe` makes; length: ids per text, bos and eos included, at least 3."""
        if length < 3:
            raise ValueError(f"tokenizer length {length} leaves no room between bos and eos (at least 3)")
        self._backend = backend  # neither truncates nor pads: that happens here, where it is seen
        self.length = length
        self.vocab: dict[str, int] = backend.get_vocab()
        self.bos, self.eos = self.vocab[BOS], self.vocab[EOS]

    @classmethod
    def load(cls, directory: str | Path, length: int) -> Tokenizer:
        """From a folder with vocab.json and merges.txt. Raises FileNotFoundError, or ValueError for a damaged file."""
        return cls(clip_bpe(*read_vocab(Path(directory))), length)

    def clean(self, text: str) -> str:
        """A text mended as CLIP mends its own before tokenising: mojibake, curly quotes, wide letters, HTML's signs.

        Other vocabularies' texts stay as they are.
        """
        if len(self.vocab) != CLIP_WORDS:
            return text
        import ftfy

        return html.unescape(html.unescape(ftfy.fix_text(text)))

    def encode(self, texts: Sequence[str]) -> Tensor:
        """B texts → ids int64 [B,L]; what is past L - 2 tokens is dropped (`count` tells what)."""
        import torch

        cleaned = [self.clean(text) for text in texts]
        rows = [self._row(e.ids) for e in self._backend.encode_batch(cleaned, add_special_tokens=False)]
        return torch.tensor(rows, dtype=torch.int64).reshape(len(rows), self.length)

    def count(self, text: str) -> TokenCount:
        """Tokens of a text against the limit, and the part of the cleaned text that does not fit."""
        text = self.clean(text)
        encoding = self._backend.encode(text, add_special_tokens=False)
        limit = self.length - 2
        dropped = encoding.offsets[limit:]
        return TokenCount(len(encoding.ids), limit, text[dropped[0][0] :] if dropped else "")

    def tokens(self, text: str) -> list[str]:
        """The pieces of a text, as the vocabulary spells them; '</w>' ends a word."""
        pieces: list[str] = self._backend.encode(self.clean(text), add_special_tokens=False).tokens
        return pieces

    def spans(self, text: str) -> list[tuple[int, int]]:
        """Where each token of a text begins and ends, in characters of what `clean` makes of it."""
        offsets: list[tuple[int, int]] = self._backend.encode(self.clean(text), add_special_tokens=False).offsets
        return offsets

    def columns_ending_at(self, text: str, ends: Sequence[int]) -> list[int]:
        """Ends of words, in characters of what `clean` makes of a text → the columns of their last tokens in the ids of
        `encode`; -1 for a token that was dropped.
        """
        tokens = [end for _, end in self.spans(text)][: self.length - 2]
        return [next((column for column, reached in enumerate(tokens, 1) if reached >= end), -1) for end in ends]

    def _row(self, ids: list[int]) -> list[int]:
        kept = ids[: self.length - 2]
        return [self.bos, *kept, *[self.eos] * (self.length - 1 - len(kept))]


def clip_bpe(vocab: dict[str, int], merges: list[tuple[str, str]]) -> Any:
    """CLIP's byte-level BPE as a tokenizers.Tokenizer, piece by piece as transformers' CLIPTokenizer puts it together.

    That class is not used because importing it takes seconds; tests hold the two to the same ids.
    """
    from tokenizers import AddedToken, Regex, Tokenizer, normalizers, pre_tokenizers
    from tokenizers.models import BPE

    bpe = BPE(vocab, merges, continuing_subword_prefix="", end_of_word_suffix="</w>", unk_token=EOS)
    backend = Tokenizer(bpe)
    backend.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]
    )
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(WORDS), behavior="removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    backend.add_special_tokens([AddedToken(sign, normalized=False, special=True) for sign in (EOS, BOS)])
    return backend


def read_vocab(directory: Path) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """vocab.json and merges.txt, as pairs; raises FileNotFoundError, or ValueError for a damaged file."""
    for name in ("vocab.json", "merges.txt"):
        if not (directory / name).exists():
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(directory / name))
    try:
        vocab: dict[str, int] = json.loads(read_text(directory / "vocab.json", MOST))
        lines = read_text(directory / "merges.txt", MOST).split("\n")
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{directory} holds a damaged tokenizer file: {error}") from None
    if not isinstance(vocab, dict):
        raise ValueError(f"{directory} holds a damaged tokenizer file: vocab.json is no dictionary")
    # not splitlines(): some of the byte alphabet's signs count as line ends there
    merges = [(a, b) for a, _, b in (line.partition(" ") for line in lines if line and not line.startswith("#version"))]
    missing = [t for t in (BOS, EOS) if t not in vocab] or [a + b for a, b in merges if a + b not in vocab]
    if missing:
        raise ValueError(f"{directory}/vocab.json lacks {missing[0]!r}: it does not belong to merges.txt")
    return vocab, merges
