"""Our guided step and our whole picture against diffusers', same weights, same process, turn by turn.

python benchmarks/speed.py                            # the embedded model
python benchmarks/speed.py --sd --steps 1 --runs 3    # SD v1's size with random weights, one step
Either with --write puts its table into docs/performance.md; `make benchmark` does both.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from diffusers import DDIMScheduler, StableDiffusionPipeline

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import ldm_core
from benchmarks.report import write
from ldm_core.checkpoint import convert, save_model
from ldm_core.config import SD_V1
from ldm_core.diffusion.denoiser import Conditioning, ModelInput
from ldm_core.models.latent_diffusion import LatentDiffusion
from ldm_core.pipeline import Pipeline

ROOT = Path(__file__).resolve().parent.parent
REPORT = ROOT / "docs" / "performance.md"
PROMPT, SCALE = "a red apple", 5.0


@dataclass(frozen=True)
class Row:
    """One thing measured: median seconds of each, and the median of the ratios of neighbouring runs."""

    name: str
    ours: float
    theirs: float
    ratio: float


def interleaved(name: str, ours: Callable[[], object], theirs: Callable[[], object], runs: int) -> Row:
    """Each once unmeasured, then turn by turn: a machine that drifts slows both."""
    ours(), theirs()
    pairs = []
    for _ in range(runs):
        start = time.perf_counter()
        ours()
        middle = time.perf_counter()
        theirs()
        pairs.append((middle - start, time.perf_counter() - middle))
    ours_seconds, their_seconds = (statistics.median(column) for column in zip(*pairs, strict=True))
    return Row(name, ours_seconds, their_seconds, statistics.median(a / b for a, b in pairs))


def load_both(weights: Path, folder: Path, device: str, dtype: str) -> tuple[Pipeline, StableDiffusionPipeline]:
    """The same file in this project and, converted, in diffusers."""
    pipe = ldm_core.load(weights, device, dtype)
    convert(weights, folder, "diffusers")
    peer = StableDiffusionPipeline.from_pretrained(folder, torch_dtype=pipe.dtype, safety_checker=None).to(pipe.device)
    peer.scheduler = DDIMScheduler.from_config(peer.scheduler.config)
    peer.set_progress_bar_config(disable=True)
    return pipe, peer


def measure(pipe: Pipeline, peer: StableDiffusionPipeline, steps: int, runs: int) -> list[Row]:
    """A guided step (two network rows) and a whole picture."""
    context, empty = pipe.encode_prompt(PROMPT), pipe.encode_prompt("")
    query = ModelInput(torch.randn(pipe.config.latent_shape()), torch.tensor(501.0), 0)
    pair = torch.stack([empty, context])
    x = query.x.to(pipe.device, pipe.dtype).expand(2, -1, -1, -1)
    size = pipe.config.image_size

    def our_step() -> object:
        return pipe.denoise([query], [Conditioning(context, empty, SCALE)])

    def their_step() -> object:
        with torch.no_grad():
            return peer.unet(x, 501, encoder_hidden_states=pair).sample

    def our_picture() -> object:
        return pipe.generate(PROMPT, steps=steps, guidance_scale=SCALE)

    def their_picture() -> object:
        return peer(PROMPT, height=size, width=size, num_inference_steps=steps, guidance_scale=SCALE)

    whole = f"{steps} guided {'step' if steps == 1 else 'steps'} and decoding, {size}×{size}"
    return [
        interleaved("one guided step", our_step, their_step, runs),
        interleaved(whole, our_picture, their_picture, runs),
    ]


def machine(pipe: Pipeline) -> str:
    """What the figures were taken on."""
    if pipe.device.type == "cuda":
        processor = torch.cuda.get_device_name(pipe.device)
    else:
        names = re.findall(r"^model name\s*:\s*(.+)$", _read(Path("/proc/cpuinfo")), re.MULTILINE)
        processor = f"{names[0] if names else platform.processor()}, {torch.get_num_threads()} threads"
    dtype = str(pipe.dtype).removeprefix("torch.")
    return f"{processor}, {dtype}, torch {torch.__version__}, {time.strftime('%Y-%m-%d')}"


def _read(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def table(rows: list[Row], where: str, load: float) -> str:
    """The rows as Markdown, under the machine's name and how busy it was before."""
    lines = [f"Measured on {where}; load average before: {load:.1f}.", "", "| | ours, s | diffusers, s | ratio |"]
    lines += ["|---|---|---|---|"]
    lines += [f"| {row.name} | {row.ours:.3f} | {row.theirs:.3f} | {row.ratio:.2f} |" for row in rows]
    return "\n".join(lines)


def main() -> None:
    """Print one line per measurement."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, default=ROOT / "weights" / "emoji-128.safetensors")
    parser.add_argument("--sd", action="store_true", help="SD v1's geometry with random weights instead of a file")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--steps", type=int, default=25)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--write", action="store_true", help=f"put the table into {REPORT.relative_to(ROOT)}")
    args = parser.parse_args()
    load = os.getloadavg()[0]

    with tempfile.TemporaryDirectory() as folder:
        weights = args.weights
        if args.sd:
            weights = Path(folder) / "sd.safetensors"
            save_model(LatentDiffusion(SD_V1), SD_V1, weights, "float16")
        pipe, peer = load_both(weights, Path(folder) / "diffusers", args.device, args.dtype)
        print(f"{pipe.config.name} on {machine(pipe)}")
        rows = measure(pipe, peer, args.steps, args.runs)
    for row in rows:
        print(f"{row.name:>42}: ours {row.ours:.3f} s, diffusers {row.theirs:.3f} s, ratio {row.ratio:.2f}")
    if args.write:
        write(REPORT, "sd-v1" if args.sd else "emoji-128", table(rows, machine(pipe), load))


if __name__ == "__main__":
    main()
