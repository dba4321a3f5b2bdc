"""`python -m ldm_core evaluate WEIGHTS`: a table, a JSON and contact sheets, from fixed seeds."""

from __future__ import annotations

import argparse
from dataclasses import fields, replace
from pathlib import Path

from ldm_core.evaluation.settings import EvaluationSettings
from ldm_core.sampling import SAMPLER_NAMES

COMPOSED = 200
HELP = {
    "sampler": f"one of {', '.join(SAMPLER_NAMES)}",
    "steps": "of the sampler",
    "guidance_scale": "of classifier-free guidance",
    "seed": "every draw follows from it",
    "batch": "pictures at a time",
    "reconstructions": "held-out drawings for the autoencoder",
    "heldout": "held-out captions: retrieval, composition, KID, copying",
    "backgrounds": "pictures for each named colour",
    "tones": "held-out pairs, each in five skin tones",
    "prompts": "prompts for diversity",
    "seeds": "pictures of each of them",
    "names": "bare names of things, the commonest first",
    "paraphrases": "words that no caption holds",
    "lpips_net": "alex, vgg or squeeze",
    "lpips_trunk": "file of torchvision's weights for it, or random, or off",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Every count is an option; 0 leaves a part out."""
    parser.description = "Measure weights against held-out drawings; see docs/evaluation.md."
    parser.add_argument("weights", metavar="WEIGHTS", help="weights file or diffusers folder")
    parser.add_argument("--corpus", type=Path, default=Path("~/.cache/latent-lab/corpus"))
    parser.add_argument(
        "--judge", type=Path, help="default: judge.safetensors of the run judge-1, with --compose of judge-compose"
    )
    parser.add_argument("--out", type=Path, help="folder for evaluation.json and contact sheets")
    parser.add_argument("--quick", type=int, metavar="N", help="no count above N, for a trial")
    parser.add_argument("--device", default="auto")
    parser.add_argument(
        "--compose",
        type=int,
        nargs="?",
        const=COMPOSED,
        default=0,
        metavar="N",
        help=f"only this: N prompts (default {COMPOSED}) of each of six types that put things together",
    )
    for field in fields(EvaluationSettings):
        if field.name == "compose":
            continue
        kind = float if field.default is None else type(field.default)
        default = "the model's own" if field.default is None else field.default
        text = f"{HELP[field.name]} (default: {default})"
        parser.add_argument(f"--{field.name.replace('_', '-')}", type=kind, default=field.default, help=text)


def run(args: argparse.Namespace) -> int:
    """The table goes to stdout, progress to stderr. What is missing is said before anything is computed."""
    settings = EvaluationSettings(**{f.name: getattr(args, f.name) for f in fields(EvaluationSettings)})
    if args.compose:
        settings = settings.composing_only(args.compose)
    if args.quick is not None:
        settings = settings.limited(args.quick)

    from tqdm import tqdm

    import ldm_core
    from ldm_core.data.corpus import Corpus
    from ldm_core.evaluation.evaluate import evaluate
    from ldm_core.evaluation.judge import JudgeModel
    from ldm_core.evaluation.report import table
    from ldm_core.training.common.settings import runs_dir

    run = "judge-compose" if settings.compose else "judge-1"
    judge = JudgeModel.load(args.judge or runs_dir() / run / "judge.safetensors") if settings.judged else None
    corpus = Corpus(args.corpus.expanduser())
    pipe = ldm_core.load(args.weights, args.device, "float32")
    if settings.guidance_scale is None:
        settings = replace(settings, guidance_scale=pipe.config.default_guidance)
    with tqdm(total=settings.pictures, unit="picture") as bar:

        def progress(what: str, more: int) -> None:
            bar.set_description(what)
            bar.update(more)

        found = evaluate(pipe, judge, corpus, settings, progress)
    judged_by = f"judge {judge.sha256[:12]}" if judge else "no judge asked"
    print(
        f"{pipe.weights_name} ({pipe.weights_sha256[:12]}), {settings.sampler}, {settings.steps} steps, "
        f"guidance {settings.guidance_scale:g}, seed {settings.seed}; {judged_by}\n"
    )
    print(table(found.metrics))
    if args.out is not None:
        written = found.write(args.out.expanduser())
        print(f"\nwrote {written[0]} and {len(written) - 1} contact sheets")
    return 0
