"""Our guided step and our whole picture against diffusers', same weights, same process, turn by turn.

python benchmarks/speed.py                            # the embedded model
python benchmarks/speed.py --dtype float32            # the same in fp32
python benchmarks/speed.py --sd --steps 1 --runs 3    # SD v1's size with random weights, one step
Each with --write puts its table into docs/performance.md; `make benchmark` does all three. Ours runs on what --runtime
says (on a CPU openvino, its graphs made first), diffusers in eager torch. Beside the wall clock the processor time of
all threads is measured: on a machine that does other things as well it is the steadier of the two.
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
from importlib.metadata import version
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
    """One thing measured: median seconds of each, and medians of the ratios of neighbouring runs by either clock."""

    name: str
    ours: float
    theirs: float
    ratio: float
    cpu_ratio: float


def interleaved(name: str, ours: Callable[[], object], theirs: Callable[[], object], runs: int) -> Row:
    """Each once unmeasured, then turn by turn: a machine that drifts slows both."""
    ours(), theirs()
    walls, cpus = [], []
    for _ in range(runs):
        (our_wall, our_cpu), (their_wall, their_cpu) = clocked(ours), clocked(theirs)
        walls.append((our_wall, their_wall))
        cpus.append((our_cpu, their_cpu))
    ours_seconds, their_seconds = (statistics.median(column) for column in zip(*walls, strict=True))
    ratio, cpu_ratio = (statistics.median(a / b for a, b in pairs) for pairs in (walls, cpus))
    return Row(name, ours_seconds, their_seconds, ratio, cpu_ratio)


def clocked(work: Callable[[], object]) -> tuple[float, float]:
    """Seconds by the wall clock and of processor time."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


def load_both(
    weights: Path, folder: Path, device: str, dtype: str, runtime: str
) -> tuple[Pipeline, StableDiffusionPipeline]:
    """The same file in this project and, converted, in diffusers; both on as many threads as torch has."""
    pipe = ldm_core.load(weights, device, dtype, runtime, torch.get_num_threads())
    convert(weights, folder, "diffusers")
    peer = StableDiffusionPipeline.from_pretrained(folder, torch_dtype=pipe.dtype, safety_checker=None).to(pipe.device)
    peer.scheduler = DDIMScheduler.from_config(peer.scheduler.config)
    peer.set_progress_bar_config(disable=True)
    return pipe, peer


def measure(pipe: Pipeline, peer: StableDiffusionPipeline, steps: int, runs: int) -> list[Row]:
    """A guided step (two network rows) and a whole picture."""
    context, empty = pipe.encode_prompt(PROMPT), pipe.encode_prompt("")
    query = ModelInput(torch.randn(pipe.config.latent_shape()), torch.tensor(501.0), 0)
    pair = torch.stack([empty, context]).to(pipe.device, pipe.dtype)
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

    z = torch.randn(1, *pipe.config.latent_shape())
    half = z.to(pipe.device, pipe.dtype)

    def their_decode() -> object:
        with torch.no_grad():
            return peer.vae.decode(half / pipe.config.scale_factor).sample

    whole = f"{steps} guided {'step' if steps == 1 else 'steps'} and decoding, {size}×{size}"
    return [
        interleaved("one guided step", our_step, their_step, runs),
        interleaved(f"decoding, {size}×{size}", lambda: pipe.decode(z), their_decode, runs),
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
    versions = f"torch {torch.__version__}" + (
        f", OpenVINO {version('openvino')}" if pipe.runtime == "openvino" else ""
    )
    return f"{processor}, {dtype}, {versions}, {time.strftime('%Y-%m-%d')}"


def _read(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def table(rows: list[Row], where: str, load: float) -> str:
    """The rows as Markdown, under the machine's name and how busy it was before."""
    lines = [f"Measured on {where}; load average before: {load:.1f}.", ""]
    lines += ["| | ours, s | diffusers, s | ratio | ratio of processor time |", "|---|---|---|---|---|"]
    lines += [f"| {r.name} | {r.ours:.3f} | {r.theirs:.3f} | {r.ratio:.2f} | {r.cpu_ratio:.2f} |" for r in rows]
    return "\n".join(lines)


def main() -> None:
    """Print one line per measurement."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, default=ROOT / "weights" / "emoji-128.safetensors")
    parser.add_argument("--sd", action="store_true", help="SD v1's geometry with random weights instead of a file")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--runtime", default="openvino", help="of ours: torch or openvino")
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
        pipe, peer = load_both(weights, Path(folder) / "diffusers", args.device, args.dtype, args.runtime)
        print(f"{pipe.config.name} ({pipe.runtime}) on {machine(pipe)}")
        rows = measure(pipe, peer, args.steps, args.runs)
    for row in rows:
        ratios = f"ratio {row.ratio:.2f}, of processor time {row.cpu_ratio:.2f}"
        print(f"{row.name:>42}: ours {row.ours:.3f} s, diffusers {row.theirs:.3f} s, {ratios}")
    if args.write:
        section = "sd-v1" if args.sd else "emoji-128-fp32" if args.dtype == "float32" else "emoji-128"
        write(REPORT, section, table(rows, machine(pipe), load))


if __name__ == "__main__":
    main()
