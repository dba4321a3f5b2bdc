"""generate: prompts on the command line or in a file → PNG files."""

from __future__ import annotations

import argparse
import logging
import re
import sys
import textwrap
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, get_args

from PIL import Image
from tqdm import tqdm

import ldm_core
from ldm_core.cli.weights import add_parameterization
from ldm_core.config import TimestepSpacing
from ldm_core.files import read_text
from ldm_core.images import Pixels
from ldm_core.interpolation import interpolate
from ldm_core.metadata import write_png
from ldm_core.pipeline import Pipeline, Run, Step, finish
from ldm_core.runtime.base import RuntimeFailed
from ldm_core.sampling import DEFAULT_SEED, SAMPLER_NAMES, SamplingParams
from ldm_core.shipped import EMOJI_128
from ldm_core.text.knowledge import Knowledge
from ldm_core.text.prompt_syntax import parse, plain

log = logging.getLogger(__name__)
PICTURE = re.compile(r"(\d+)-\d+\.png")  # as they are named here
SETTINGS = (
    "negative_prompt",
    "steps",
    "eta",
    "guidance_scale",
    "timestep_spacing",
    "sampler",
    "seed",
    "batch",
    "height",
    "width",
    "label",
    "guidance_interval",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Sampling options are those of Pipeline.generate."""
    parser.add_argument(
        "prompt", nargs="?", help="a prompt, or @FILE with one prompt a line (models with text); @@ begins one with @"
    )
    parser.add_argument("--class", dest="label", type=int, metavar="N", help="what a class-conditional model draws")
    parser.add_argument("--to", metavar="PROMPT", help="the batch goes from the prompt to this one")
    parser.add_argument("--to-seed", type=int, metavar="SEED", help="and from the seed to this one (slerp of noises)")
    parser.add_argument("--weights", default=EMOJI_128, help="weights file or diffusers folder (default: the embedded)")
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("."),
        help="folder for NNN-SEED.png, counted on from those there (default: here)",
    )
    parser.add_argument("--negative-prompt", default=SamplingParams.negative_prompt, help="what to keep away from")
    parser.add_argument("--steps", type=int, default=SamplingParams.steps, help="default: %(default)s")
    parser.add_argument("--eta", type=float, default=SamplingParams.eta, help="fresh noise in each step, 0 to 1")
    parser.add_argument("--guidance-scale", type=float, help="default: the model's own")
    parser.add_argument(
        "--guidance-interval",
        type=float,
        nargs=2,
        metavar=("LOW", "HIGH"),
        help="t/T within which guidance acts (docs/samplers.md); default: at every step",
    )
    parser.add_argument("--sampler", default=SamplingParams.sampler, help=f"one of {', '.join(SAMPLER_NAMES)}")
    parser.add_argument(
        "--timestep-spacing",
        "--grid",
        dest="timestep_spacing",
        default=SamplingParams.timestep_spacing,
        choices=get_args(TimestepSpacing),
        help="which timesteps are walked",
    )
    parser.add_argument("--seed", type=int, default=DEFAULT_SEED, help="of the first picture (default: %(default)s)")
    parser.add_argument("--batch", type=int, default=1, help="images per prompt, from seeds SEED, SEED+1, …")
    parser.add_argument("--height", type=int, help="in pixels (default: what the model was trained at)")
    parser.add_argument("--width", type=int, help="in pixels (default: what the model was trained at)")
    parser.add_argument("--device", default="auto", help="auto, cpu, mps or cuda:N (default: auto)")
    parser.add_argument("--dtype", default="auto", help="auto, float32, bfloat16 or float16 (default: auto)")
    parser.add_argument("--runtime", default="auto", help="auto, torch or openvino; see docs/performance.md")
    parser.add_argument("--threads", type=int, help="processor threads; default: the runtime's own rule")
    add_parameterization(parser)


def run(args: argparse.Namespace) -> int:
    """Write one PNG per image, named by the prompt's number and the image's seed, or by its frame on the way.

    Prompts are numbered on from the pictures that the folder has.
    """
    pipe = ldm_core.load(args.weights, args.device, args.dtype, args.runtime, args.threads, args.parameterization)
    knowledge = Knowledge.beside(Path(args.weights).expanduser()) if pipe.tokenizer is not None else None
    prompts = [_in_english(prompt, knowledge) for prompt in _prompts(args, pipe)]
    args.to = None if args.to is None else _in_english(args.to, knowledge)
    for prompt in prompts:
        _count(pipe, prompt)
    _count(pipe, args.to or "", "--to")
    _count(pipe, args.negative_prompt, "--negative-prompt")
    requests = [SamplingParams(prompt, **{name: getattr(args, name) for name in SETTINGS}) for prompt in prompts]
    for params in requests:  # all of a file's before the first is drawn
        params.check(pipe.limits)
    first = 0 if _interpolates(args) else args.seed
    args.out = args.out.expanduser()
    args.out.mkdir(parents=True, exist_ok=True)
    there = [int(found[1]) for path in args.out.iterdir() if (found := PICTURE.fullmatch(path.name))]
    before = max(there, default=-1) + 1
    with tqdm(total=len(requests) * args.steps, unit="step", delay=0.1) as bar:  # none where a word is wrong
        for number, params in enumerate(requests):
            pipe, images = _draw(args, pipe, params, partial(_advance, bar, number * args.steps))
            for k, image in enumerate(images):
                path = args.out / f"{before + number:03d}-{first + k}.png"
                if _interpolates(args):  # no settings make a frame of the way again
                    Image.fromarray(image).save(path)
                else:
                    alone, more = pipe.resolved(params).image(k), {"runtime": pipe.runtime}
                    write_png(path, image, alone, pipe.weights_sha256, ldm_core.__version__, more)
    return 0


def _draw(
    args: argparse.Namespace, pipe: Pipeline, params: SamplingParams, each: Callable[[Step], object]
) -> tuple[Pipeline, Pixels]:
    """A prompt's pictures and the pipeline that made them: one on torch from where the runtime failed."""
    try:
        return pipe, pipe.decode(finish(_start(args, pipe, params), each=each))
    except RuntimeFailed as fault:
        log.warning("%s; the picture starts again on torch", fault)
        return _draw(args, pipe.with_runtime(), params, each)


def _advance(bar: Any, before: int, step: Step) -> None:
    """What samplers ask twice in a step is one step of the bar."""
    bar.update(before + step.i - bar.n)


def _prompts(args: argparse.Namespace, pipe: Pipeline) -> list[str]:
    """What to draw, as it was typed."""
    if pipe.tokenizer is None:
        return [args.prompt or ""]
    given = args.prompt or ""
    escaped = given.startswith("@@")
    lines = read_text(given[1:]).splitlines() if given.startswith("@") and not escaped else [given[escaped:]]
    prompts = [line.strip() for line in lines if line.strip()]
    if not prompts:
        raise ValueError(f"{pipe.weights_name} draws what a prompt says: give it one")
    return prompts


def _in_english(prompt: str, knowledge: Knowledge | None) -> str:
    """A prompt as the page reads it, emoji and Chinese as English; says so, and which words the model does not know."""
    if knowledge is None:  # an open vocabulary
        return prompt
    reading = knowledge.read(prompt)
    if reading.english != prompt:
        _note(f"{_shown(prompt)} is read as: {reading.english}")
    if reading.unknown:
        _note(f"the model does not know: {_shown(', '.join(word.text for word in reading.unknown))}")
    return reading.english


def _count(pipe: Pipeline, prompt: str, option: str = "") -> None:
    """Of a prompt that is too long for the model, say which words it will not see; option: what gave it."""
    if pipe.tokenizer is not None and (count := pipe.tokenizer.count(plain(parse(prompt)))).truncated:
        tokens = f"tokens of {option}" if option else "tokens"
        _note(f"the model reads {count.limit} of {count.tokens} {tokens}, not: {_shown(count.truncated)}")


def _note(said: str) -> None:
    print(f"note: {said}", file=sys.stderr)


def _shown(text: str) -> str:
    return textwrap.shorten(text, 60, placeholder=" …")


def _interpolates(args: argparse.Namespace) -> bool:
    return args.to is not None or args.to_seed is not None


def _start(args: argparse.Namespace, pipe: Pipeline, params: SamplingParams) -> Run:
    if not _interpolates(args):
        return pipe.stream(params)
    if args.batch < 2 or args.eta or args.label is not None or args.timestep_spacing != "uniform":
        raise ValueError("--to and --to-seed need --batch 2 or more, and take no --eta, --class or --grid")
    end_prompt = params.prompt if args.to is None else args.to
    end_seed = args.seed if args.to_seed is None else args.to_seed
    return interpolate(pipe, params, end_prompt, end_seed, args.batch)
