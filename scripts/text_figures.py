"""What a text run has learnt: python -m scripts.text_figures RUN [--corpus DIR] [--wrong]"""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path

from ldm_core.data.corpus import Corpus
from ldm_core.evaluation.text import (
    concept_names,
    encode_eos,
    evaluate,
    is_right,
    nearest_names,
    paraphrase_share,
    read_paraphrases,
)
from ldm_core.text.tokenizer import Tokenizer
from ldm_core.training.common.settings import load_settings, runs_dir
from ldm_core.training.common.state import averaged_weights
from ldm_core.training.text.task import TextTraining, build_clip
from ldm_core.training.text.teacher import TeacherCache, definitions, meanings
from ldm_core.training.text.wordnet import read_wordnet


def teacher_share(corpus: Corpus, wordnet: Path) -> float:
    """The ceiling: the same question answered by the vectors that were taught."""
    import torch

    names, rows = concept_names(corpus), read_paraphrases()
    found = definitions(read_wordnet(wordnet), {word for word, _ in rows})
    teacher = TeacherCache(corpus.path)
    return paraphrase_share(rows, names, lambda t: torch.from_numpy(meanings(t, found, teacher)))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", help="its name in $LATENT_LAB_RUNS")
    parser.add_argument("--corpus", type=Path, default=Path("~/.cache/latent-lab/corpus"))
    parser.add_argument("--wrong", action="store_true", help="list the paraphrases that went wrong")
    args = parser.parse_args()
    directory, corpus = runs_dir() / args.run, Corpus(args.corpus.expanduser())
    settings = load_settings(TextTraining, None)
    clip = build_clip(settings).eval()
    clip.load_state_dict(averaged_weights(directory, "clip"))
    tokenizer = Tokenizer.load(settings.tokenizer, settings.model.text_len)
    print(f"teacher's share of the paraphrases  {teacher_share(corpus, Path(settings.wordnet)):.3f}")
    if args.wrong:
        names, rows = concept_names(corpus), read_paraphrases()
        encode = partial(encode_eos, clip.text_model, tokenizer, device=clip.device)
        found = nearest_names(names, encode([word for word, _ in rows]), encode(names))
        for name, (word, right) in zip(found, rows, strict=True):
            if not is_right(name, right):
                print(f"  {word}: {name}, not {' or '.join(right)}")
    for name, value in evaluate(clip, tokenizer, corpus, settings.side).items():
        print(f"{name:<34}  {value:.3f}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
