"""Makes the two vocabularies in weights/: see docs/text.md.

python -m scripts.tokenizers convert WHEEL            open-clip-torch's wheel → weights/clip-tokenizer
python -m scripts.tokenizers train CAPTIONS WORDNET   captions.txt and a WordNet folder → weights/tokenizer
"""

from __future__ import annotations

import argparse
from pathlib import Path

from ldm_core.data.colours import BACKGROUNDS
from ldm_core.presets import EMOJI_128
from ldm_core.text.tokenizer import Tokenizer
from ldm_core.training.text.bpe import convert_open_clip, pieces_of, train_bpe, word_weights, write_vocab
from ldm_core.training.text.teacher import teaching_words
from ldm_core.training.text.wordnet import read_wordnet

WEIGHTS = Path(__file__).parents[1] / "weights"
OFTEN = 256  # words that the caption template adds to the corpus's own


def train(captions: Path, wordnet: Path, out: Path, vocab: int) -> int:
    seen = pieces_of(captions.read_text(encoding="utf-8").splitlines())
    seen.update(dict.fromkeys(pieces_of([*BACKGROUNDS, "a an on background"]), OFTEN))
    english = english_words(wordnet)
    merges = train_bpe(word_weights(seen, english), vocab)
    write_vocab(out, merges)
    print(f"{out}: {len(merges)} merges from {len(seen)} caption words and {len(english)} English words")
    return 0


def english_words(wordnet: Path) -> dict[str, float]:
    """The dictionary's words: the common ones by their count in WordNet's texts, the rarer ones as if seen once."""
    lemmas = read_wordnet(wordnet)
    common, rare = teaching_words(lemmas, Tokenizer.load(WEIGHTS / "clip-tokenizer", 77))
    use = dict.fromkeys(common, 1.0) | dict.fromkeys(rare, 0.2)
    for lemma in lemmas:
        if lemma.text in use and lemma.drawable:
            use[lemma.text] += lemma.count
    return use


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    kinds = parser.add_subparsers(dest="kind", required=True)
    convert = kinds.add_parser("convert")
    convert.add_argument("wheel", type=Path)
    convert.add_argument("--out", type=Path, default=WEIGHTS / "clip-tokenizer")
    learn = kinds.add_parser("train")
    learn.add_argument("captions", type=Path)
    learn.add_argument("wordnet", type=Path)
    learn.add_argument("--out", type=Path, default=WEIGHTS / "tokenizer")
    args = parser.parse_args()
    if args.kind == "train":
        assert EMOJI_128.text is not None
        return train(args.captions, args.wordnet, args.out, EMOJI_128.text.vocab)
    convert_open_clip(args.wheel, args.out)
    print(f"{args.out}: SD v1's vocabulary")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
