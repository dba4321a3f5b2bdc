"""generate: prompts on the command line or in a file → PNG files."""

from __future__ import annotations

import argparse
from pathlib import Path

from PIL import Image
from tqdm import tqdm

import ldm_core
from ldm_core.pipeline import finish


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Sampling options are those of Pipeline.generate."""
    parser.add_argument("prompt", help="a prompt, or @FILE with one prompt a line")
    parser.add_argument("--weights", default="weights/emoji-128.safetensors", help="weights file or diffusers folder")
    parser.add_argument("--out", type=Path, default=Path("."), help="folder for NNN-SEED.png (default: here)")
    parser.add_argument("--negative-prompt", default="")
    parser.add_argument("--steps", type=int, default=25)
    parser.add_argument("--eta", type=float, default=0.0)
    parser.add_argument("--guidance-scale", type=float, default=5.0)
    parser.add_argument("--sampler", default="ddim")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--batch", type=int, default=1, help="images per prompt, from seeds SEED, SEED+1, …")
    parser.add_argument("--height", type=int)
    parser.add_argument("--width", type=int)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--dtype", default="auto")


def run(args: argparse.Namespace) -> int:
    """Write one PNG per image; the file's name says the prompt's number and the image's seed."""
    prompts = [args.prompt]
    if args.prompt.startswith("@"):
        prompts = [line.strip() for line in Path(args.prompt[1:]).read_text().splitlines() if line.strip()]
    pipe = ldm_core.load(args.weights, args.device, args.dtype)
    args.out.mkdir(parents=True, exist_ok=True)
    with tqdm(total=len(prompts) * args.steps, unit="step") as bar:
        for number, prompt in enumerate(prompts):
            stream = pipe.stream(
                prompt, args.negative_prompt, args.steps, args.eta, args.guidance_scale, args.sampler, args.seed,
                args.batch, args.height, args.width,
            )  # fmt: skip
            latents = finish(stream, each=lambda _: bar.update())
            for k, image in enumerate(pipe.decode(latents)):
                Image.fromarray(image).save(args.out / f"{number:03d}-{args.seed + k}.png")
    return 0
