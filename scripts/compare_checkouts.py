"""Do two checkouts of this repository make the same pictures and weights? Both run here, with one thread count.

`python scripts/compare_checkouts.py BEFORE [AFTER] [--parts pictures,commands] [--prompts N] [--samplers ddim,heun]
[--dtypes float32,bfloat16]`: each checkout works in a process of its own, from BEFORE's weights, and every array must
be equal, byte for byte. *pictures* are prompts × samplers × dtypes × kinds (text to image, image to image, inpainting).
*commands* are what the command line writes: the tensors of `convert`, and the weights (live and averaged) that each
task of training has after 20 steps, tiny, on the 600 drawings that come with the page. Prints a line an array; exits
with 1 where any differs.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file

PROMPTS = (
    "a red apple, noto style",
    "grinning face",
    "rocket, twemoji style, on a blue background",
    "panda face",
    "a (red:1.3) [apple]",
    "woman astronaut, dark skin tone",
    "birthday cake",
    "hamburger, flat style",
    "blue heart on a yellow background",
    "thumbs up, light skin tone",
    "pizza",
    "a blue car, emojione style",
)
KINDS = ("text", "image", "paint")
NOUNS = (
    "street",
    "engine",
    "garden",
    "kitchen",
    "ocelot",
    "quokka",
    "samovar",
    "zither",
)  # to teach: common and rare ones
COMMANDS = """
import json, sys
from ldm_core.__main__ import main
for command in json.loads(sys.argv[1]):
    if main(command):
        sys.exit(f"failed: {command}")
"""
WORKER = """
import inspect, json, sys
import numpy as np, torch
import ldm_core
job = json.loads(sys.argv[1])
torch.set_num_threads(job["threads"])
options = {"runtime": "torch"} if "runtime" in inspect.signature(ldm_core.load).parameters else {}
y, x = np.mgrid[:128, :128]
picture = np.stack([2 * x, 2 * y, 255 - x - y // 2], axis=-1).clip(0, 255).astype(np.uint8)
mask = np.zeros((128, 128), np.uint8)
mask[32:96, 40:] = 255
inputs = {"text": {}, "image": {"init_image": picture, "strength": 0.6},
          "paint": {"init_image": picture, "mask": mask, "strength": 0.9}}
made = {}
for dtype in job["dtypes"]:
    pipe = ldm_core.load(job["weights"], "cpu", dtype, **options)
    for sampler in job["samplers"]:
        for k, prompt in enumerate(job["prompts"]):
            for kind in job["kinds"]:
                settings = {"steps": job["steps"], "eta": 0.5, "guidance_scale": 5.0, "sampler": sampler, "seed": 7 + k}
                if kind == "paint":  # what a mask keeps is pasted afterwards: compare what was sampled, too
                    steps = pipe.stream(prompt, negative_prompt="blurry", **settings, **inputs[kind])
                    *_, last = steps
                    made[f"{dtype} {sampler} {kind} {k} x0"] = last.x0.numpy()
                pixels = pipe.generate(prompt, negative_prompt="blurry", **settings, **inputs[kind])
                made[f"{dtype} {sampler} {kind} {k}"] = pixels
np.savez(job["out"], **made)
"""


def call(checkout: Path, program: str, argument: object, threads: int, runs: Path) -> None:
    """A program of a checkout, in this environment."""
    count = str(threads)
    environment = {
        **os.environ,
        "PYTHONPATH": str(checkout),
        "OMP_NUM_THREADS": count,
        "MKL_NUM_THREADS": count,
        "LATENT_LAB_RUNS": str(runs),
    }
    command = [sys.executable, "-c", program, json.dumps(argument)]
    subprocess.run(command, cwd=checkout, env=environment, check=True, stdout=subprocess.DEVNULL)


def pictures(checkout: Path, job: dict[str, object], folder: Path) -> dict[str, np.ndarray]:
    """Name → pixels or latents, as the checkout makes them."""
    out = folder / "pictures.npz"
    call(checkout, WORKER, {**job, "out": str(out)}, int(str(job["threads"])), folder)
    with np.load(out) as made:
        return dict(made)


def written(checkout: Path, weights: str, threads: int, folder: Path, shared: Path) -> dict[str, np.ndarray]:
    """Name → tensor, of what the checkout's command line writes."""
    loop = ["loop.batch=8", "loop.max_steps=20", "loop.warmup=5", "loop.log_every=5"]
    corpus = ["--corpus", str(shared / "corpus"), "--device", "cpu"]
    vocabulary = Path(weights).parent / "clip-tokenizer"  # the one whose size the preset TINY has
    vocabularies = [f"tokenizer={vocabulary}", f"common_tokenizer={vocabulary}"]
    latents = ["--autoencoder", "autoencoder", "--latents", str(folder / "latents")]
    words, sampled = ["preset=TINY"], ["sample_steps=1", 'prompts=["a"]']
    first = [*words, "crop=16", "loss.perceptual_trunk=", "loss.disc_ndf=4", "validation=2"]
    small = ["widths=[4, 8]", "side=16", "embed=16"]
    bound = ["validated=20", *loop, "loop.batch=64"]  # so that every batch asks for a number and a role
    commands = [
        ["convert", weights, str(folder / "single.safetensors"), "--dtype", "float32"],
        ["convert", weights, str(folder / "folder"), "--format", "diffusers"],
        ["train", "autoencoder", "--name", "autoencoder", *corpus, *first, *loop],
        ["train", "text", "--name", "text", *corpus, *words, f"wordnet={shared}", *vocabularies, "pairs=4", *loop],
        ["train", "judge", "--name", "judge", *corpus, *small, *loop],
        ["train", "binding", "--name", "binding", *corpus, "--init", weights, *bound],
        ["train", "cache-latents", "--preset", "TINY", *latents, *corpus],
        ["train", "diffusion", "--name", "diffusion", "--text", "text", *latents, *corpus, *words, *sampled, *loop],
    ]
    call(checkout, COMMANDS, commands, threads, folder / "runs")
    found: dict[str, np.ndarray] = {}
    for path in sorted(folder.rglob("*.safetensors")):
        if "runs" not in path.parts:
            found |= {f"{path.relative_to(folder)} {k}": v.float().numpy() for k, v in load_file(path).items()}
    for run in ("autoencoder", "text", "judge", "binding", "diffusion"):
        state = torch.load(folder / "runs" / run / "state.pt", weights_only=True)
        for name, network in state["networks"].items():
            found |= {f"{run} {name} {k}": v.float().numpy() for k, v in network.items()}
        for name, average in state["averages"].items():
            found |= {f"{run} {name} average {k}": v.float().numpy() for k, v in average["shadow"].items()}
    return found


def lay_out(checkout: Path, shared: Path) -> None:
    """What training reads: the corpus that comes with the page, and a WordNet of a few nouns, as wndb(5WN) has them."""
    archive = next(checkout.glob("app/labs/**/mini-corpus.zip"))
    with zipfile.ZipFile(archive) as corpus:
        corpus.extractall(shared / "corpus")
    data = [f"{i + 100:08d} 05 n 01 {noun} 0 000 | a thing called {noun}" for i, noun in enumerate(NOUNS)]
    index = [f"{noun} n 1 0 1 1 {i + 100:08d}" for i, noun in enumerate(NOUNS)]
    for part in ("noun", "verb", "adj", "adv"):
        (shared / f"data.{part}").write_text("\n".join(data if part == "noun" else []))
        (shared / f"index.{part}").write_text("\n".join(index if part == "noun" else []))
    (shared / "cntlist.rev").write_text("")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path, nargs="?", default=Path(__file__).resolve().parents[1])
    parser.add_argument("--parts", default="pictures,commands")
    parser.add_argument("--prompts", type=int, default=len(PROMPTS))
    parser.add_argument("--samplers", default="ddim,dpmpp_2m,euler_a")
    parser.add_argument("--dtypes", default="float32,bfloat16")
    parser.add_argument("--kinds", default=",".join(KINDS))
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    before, after = args.before.resolve(), args.after.resolve()
    weights = str(before / "weights" / "emoji-128.safetensors")
    job: dict[str, object] = {
        "weights": weights,
        "prompts": PROMPTS[: args.prompts],
        "samplers": args.samplers.split(","),
        "dtypes": args.dtypes.split(","),
        "kinds": args.kinds.split(","),
        "steps": args.steps,
        "threads": args.threads,
    }
    made: list[dict[str, np.ndarray]] = []
    with tempfile.TemporaryDirectory() as temporary:
        shared = Path(temporary, "shared")
        shared.mkdir()
        lay_out(before, shared)
        for name, checkout in (("before", before), ("after", after)):
            folder = Path(temporary, name)
            folder.mkdir()
            made.append({})
            if "pictures" in args.parts.split(","):
                made[-1] |= pictures(checkout, job, folder)
            if "commands" in args.parts.split(","):
                made[-1] |= written(checkout, weights, args.threads, folder, shared)
    old, new = made
    return report(old, new)


def report(old: dict[str, np.ndarray], new: dict[str, np.ndarray]) -> int:
    """A line an array, and how many are equal; 1 where any differs or is missing on one side."""
    different = 0
    for name in sorted(old.keys() | new.keys()):
        if name not in old or name not in new:
            said = f"is there {'before' if name in old else 'after'} only"
        elif np.array_equal(old[name], new[name]):
            said = "equal"
        elif old[name].shape != new[name].shape:
            said = f"has shape {new[name].shape} instead of {old[name].shape}"
        else:
            said = f"differs by up to {np.abs(old[name].astype(np.float64) - new[name].astype(np.float64)).max():g}"
        different += said != "equal"
        print(f"{name}: {said}")
    total = len(old.keys() | new.keys())
    print(f"{total - different} of {total} arrays are equal")
    return int(different > 0)


if __name__ == "__main__":
    sys.exit(main())
