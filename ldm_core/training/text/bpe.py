"""The vocabularies in weights/: our own byte-level BPE, trained; SD v1's, converted from open_clip's copy."""

from __future__ import annotations

import gzip
import json
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from zipfile import ZipFile

from tokenizers import Tokenizer as Backend
from tokenizers import models, trainers

from ldm_core.text.tokenizer import BOS, EOS, clip_bpe

SD_V1_VOCAB = 49408
OPEN_CLIP_MERGES = "open_clip/bpe_simple_vocab_16e6.txt.gz"  # inside the wheel open-clip-torch
OPEN_CLIP_LICENSE = "licenses/LICENSE"
END = "</w>"


def byte_alphabet() -> list[str]:
    """The 256 signs that stand for bytes, in CLIP's order: printable ones stand for themselves and come first."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [b for b in range(256) if b not in printable]
    return [chr(b) for b in printable] + [chr(256 + i) for i in range(len(others))]


def assemble_vocab(merges: Iterable[tuple[str, str]]) -> dict[str, int]:
    """CLIP's numbering: bytes, bytes that end a word, merges in order, bos, eos."""
    alphabet = byte_alphabet()
    pieces = [*alphabet, *(sign + END for sign in alphabet), *(a + b for a, b in merges), BOS, EOS]
    vocab = {piece: i for i, piece in enumerate(pieces)}
    if len(vocab) != len(pieces):
        raise ValueError(f"{len(pieces) - len(vocab)} pieces of the vocabulary occur twice")
    return vocab


def write_vocab(directory: Path, merges: list[tuple[str, str]]) -> None:
    """vocab.json and merges.txt, as transformers' CLIPTokenizer reads them."""
    directory.mkdir(parents=True, exist_ok=True)
    vocab = json.dumps(assemble_vocab(merges), ensure_ascii=False, separators=(",", ":"))
    (directory / "vocab.json").write_text(vocab + "\n", encoding="utf-8")
    lines = ["#version: 0.2", *(f"{a} {b}" for a, b in merges), ""]
    (directory / "merges.txt").write_text("\n".join(lines), encoding="utf-8")


def convert_open_clip(wheel: Path, directory: Path) -> None:
    """The wheel open-clip-torch → SD v1's vocab.json and merges.txt, and the wheel's licence beside them.

    The list in the wheel is OpenAI CLIP's, longer than its vocabulary: CLIP takes the first 49,408 - 512 - 2 merges.
    """
    with ZipFile(wheel) as archive:
        lines = gzip.decompress(archive.read(OPEN_CLIP_MERGES)).decode("utf-8").split("\n")
        license_name = next(name for name in archive.namelist() if name.endswith(OPEN_CLIP_LICENSE))
        license_text = archive.read(license_name).decode("utf-8")
    wanted = SD_V1_VOCAB - 2 * len(byte_alphabet()) - 2
    merges = [(a, b) for a, _, b in (line.partition(" ") for line in lines[1 : wanted + 1])]
    if len(merges) != wanted:
        raise ValueError(f"{wheel.name} holds {len(merges)} merges, SD v1 needs {wanted}")
    write_vocab(directory, merges)
    (directory / "LICENSE").write_text(license_text, encoding="utf-8")


def train_bpe(words: Mapping[str, int], vocab: int) -> list[tuple[str, str]]:
    """Weighted words (as `pieces_of` spells them) → the merges of a vocabulary of exactly `vocab` pieces.

    Raises ValueError where the words do not hold that many merges.
    """
    alphabet = byte_alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab - 2,
        show_progress=False,
        initial_alphabet=alphabet,
        # named here, word ends get fixed ids; left to the trainer, they come in hash order and ties break at random
        special_tokens=[sign + END for sign in alphabet],
        end_of_word_suffix=END,
    )
    backend = Backend(models.BPE(end_of_word_suffix=END))
    backend.train_from_iterator(_repeated(words), trainer)
    merges = [(a, b) for a, b in json.loads(backend.to_str())["model"]["merges"]]
    wanted = vocab - 2 * len(alphabet) - 2
    if len(merges) < wanted:
        raise ValueError(f"the words hold {len(merges)} merges, a vocabulary of {vocab} needs {wanted}: add words")
    return merges[:wanted]


def pieces_of(texts: Iterable[str]) -> Counter[str]:
    """Words of the texts, cleaned, lower-cased and cut exactly as CLIP's tokenizer does, in the byte alphabet."""
    backend = clip_bpe(assemble_vocab([]), [])
    counts: Counter[str] = Counter()
    for text in texts:
        cleaned = backend.normalizer.normalize_str(text)
        counts.update(word for word, _ in backend.pre_tokenizer.pre_tokenize_str(cleaned))
    return counts


def word_weights(captions: Mapping[str, int], english: Mapping[str, float]) -> dict[str, int]:
    """How often BPE sees a word: captions[word] times in captions, english[word] a measure of use in other texts.

    Captions repeat the same few words thousands of times, so weights grow with the logarithm.
    """
    weights = {word: int(6 * math.log2(1 + n)) for word, n in english.items()}
    for word, n in captions.items():
        weights[word] = weights.get(word, 0) + 6 + int(6 * math.log2(n))
    return {word: n for word, n in sorted(weights.items()) if n > 0}


def _repeated(words: Mapping[str, int]) -> Iterator[str]:
    for word, weight in words.items():
        yield from [word] * weight
