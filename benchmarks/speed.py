"""Our guided step, decoding and whole picture against diffusers', same weights, same process, turn by turn.

python benchmarks/speed.py emoji-128                  # the embedded model; emoji-128-fp32: the same in fp32
python benchmarks/speed.py sd-v1 --keep FOLDER        # SD v1's size with random weights, one step and one decode
python benchmarks/speed.py threads                    # the embedded picture beside a busy program
Each with --write puts its table into docs/performance.md; `make benchmark` does all. The peers are diffusers in eager
torch and diffusers with UNet and VAE compiled by OpenVINO. Ours runs on what --runtime says, its graphs made first.
sd-v1 makes graphs for minutes; --prepare stops before measuring, so that it can be done in two pieces.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import ldm_core
from benchmarks import peak, peers
from benchmarks.report import write
from ldm_core.checkpoint import convert
from ldm_core.checkpoint.state_dict_check import empty_model
from ldm_core.devices import resolve_device, resolve_dtype
from ldm_core.diffusion.denoiser import Conditioning, ModelInput
from ldm_core.pipeline import Pipeline

ROOT = Path(__file__).resolve().parent.parent
REPORT = ROOT / "docs" / "performance.md"
EMBEDDED = ROOT / "weights" / "emoji-128.safetensors"
PROMPT, SCALE = "a red apple", 5.0
BUSY_STEPS, BUSY_RUNS = 10, 5
LOAD = os.getloadavg()[0]
Call = Callable[[], object]


@dataclass(frozen=True)
class Row:
    """One thing measured: median seconds of ours and each peer, medians of the ratios to them of neighbouring runs."""

    name: str
    seconds: tuple[float, ...]  # ours first
    ratios: tuple[float, ...]
    flops: float | None


def interleaved(name: str, calls: list[Call], runs: int, flops: float | None = None) -> Row:
    """Each twice unmeasured, then turn by turn: a machine that drifts slows all."""
    for call in calls:
        call(), call()
    rounds = [[clocked(call) for call in calls] for _ in range(runs)]
    ratios = [statistics.median(taken[0] / taken[k] for taken in rounds) for k in range(1, len(calls))]
    return Row(name, tuple(statistics.median(column) for column in zip(*rounds, strict=True)), tuple(ratios), flops)


def clocked(work: Call) -> float:
    """Seconds by the wall clock, until a GPU is done too."""
    wait = torch.cuda.synchronize if torch.cuda.is_available() else lambda: None
    wait()
    start = time.perf_counter()
    work()
    wait()
    return time.perf_counter() - start


def prepare(pipe: Pipeline, weights: Path, folder: Path) -> list[peers.StableDiffusionPipeline]:
    """The peers, in the order of the table; the second only on a CPU."""
    if not (folder / "diffusers").exists():
        convert(weights, folder / "diffusers", "diffusers")
    made = [peers.eager(folder / "diffusers", pipe.dtype, pipe.device)]
    if pipe.device.type == "cpu":
        made.append(peers.compiled(folder / "diffusers", pipe.dtype))
    return made


def measure(pipe: Pipeline, others: list[peers.StableDiffusionPipeline], steps: int, runs: int) -> list[Row]:
    """A guided step (two network rows), a decode and, unless steps is 0, a whole picture."""
    context, empty = pipe.encode_prompt(PROMPT), pipe.encode_prompt("")
    z, t = torch.randn(1, *pipe.config.latent_shape()), torch.tensor(501.0)
    size, scale = pipe.config.image_size, pipe.config.scale_factor
    pair, x = torch.stack([empty, context]), z.expand(2, -1, -1, -1)

    def step(peer: peers.StableDiffusionPipeline) -> Call:
        half, told = x.to(peer.device, peer.dtype), pair.to(peer.device, peer.dtype)
        return torch.no_grad()(lambda: peer.unet(half, 501, encoder_hidden_states=told, return_dict=False))

    def decode(peer: peers.StableDiffusionPipeline) -> Call:
        half = z.to(peer.device, peer.dtype) / scale
        return torch.no_grad()(lambda: peer.vae.decode(half, return_dict=False))

    def picture(peer: peers.StableDiffusionPipeline) -> Call:
        return lambda: peer(PROMPT, height=size, width=size, num_inference_steps=steps, guidance_scale=SCALE)

    meta = empty_model(pipe.config)
    on_meta = [tensor.float().to("meta") for tensor in (x, torch.stack([t, t]), pair, z)]
    step_flops = peak.flops(lambda: meta.apply_model(*on_meta[:3]))
    decode_flops = peak.flops(lambda: meta.decode_first_stage(on_meta[3]))
    model_input, told = ModelInput(z[0], t, 0), Conditioning(context, empty, SCALE)
    ours: list[Call] = [lambda: pipe.denoise([model_input], [told]), lambda: pipe.decode(z)]
    rows = [
        interleaved("one guided step", [ours[0], *map(step, others)], runs, step_flops),
        interleaved(f"decoding, {size}×{size}", [ours[1], *map(decode, others)], runs, decode_flops),
    ]
    if steps:
        make = [lambda: pipe.generate(PROMPT, steps=steps, guidance_scale=SCALE), *map(picture, others)]
        name = f"{steps} guided steps and decoding, {size}×{size}"
        rows.append(interleaved(name, make, runs, steps * step_flops + decode_flops))
    return rows


def machine(device: torch.device, dtype: torch.dtype, runtime: str) -> str:
    """What the figures were taken on."""
    if device.type == "cuda":
        processor = torch.cuda.get_device_name(device)
    else:
        names = re.findall(r"^model name\s*:\s*(.+)$", _read(Path("/proc/cpuinfo")), re.MULTILINE)
        amx = " with AMX" if "amx_bf16" in _read(Path("/proc/cpuinfo")) else ""
        processor = f"{names[0] if names else platform.processor()}{amx}, {os.cpu_count()} cores"
    versions = [f"torch {torch.__version__}", f"diffusers {version('diffusers')}"]
    versions += [f"OpenVINO {version('openvino')}"] if runtime == "openvino" else []
    what = [processor, str(dtype).removeprefix("torch."), *versions, time.strftime("%Y-%m-%d")]
    return f"{', '.join(what)}; load average before: {LOAD:.1f}"


def _read(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def table(rows: list[Row], where: str, peaks: dict[str, float], threads: int | None) -> str:
    """The rows as Markdown, under the machine's name, how busy it was before, and its peak."""
    most = max(peaks.values())
    said = ", ".join(f"{name} {flops / 1e9:,.0f} GFLOP/s" for name, flops in peaks.items())
    lines = [f"Measured on {where}; ours on {threads or 'all'} thread{'s' * (threads != 1)}. Peak: {said}.", ""]
    columns = ["ours, s", "diffusers, s", "diffusers compiled by OpenVINO, s"][: len(rows[0].seconds)]
    columns += ["ratio", "ratio to compiled"][: len(rows[0].ratios)]
    lines += ["| | " + " | ".join([*columns, "ours, of the peak"]) + " |", "|---" * (len(columns) + 2) + "|"]
    for row in rows:
        share = f"{(row.flops or 0) / row.seconds[0] / most:.0%}"
        cells = [*(f"{s:.4g}" for s in row.seconds), *(f"{r:.2f}" for r in row.ratios), share]
        lines.append(f"| {row.name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def threads_table(where: str) -> str:
    """Median seconds of an embedded picture by runtime and threads, in turn alone and beside a busy program."""
    lines = [f"Measured on {where}.", "", "| | alone | beside one busy program | ratio |", "|---|---|---|---|"]
    for runtime in ("openvino", "torch"):
        for threads in sorted({1, os.cpu_count() or 1}):
            pipe = ldm_core.load(EMBEDDED, "cpu", "auto", runtime, threads)

            def picture(pipe: Pipeline = pipe) -> None:
                pipe.generate(PROMPT, steps=BUSY_STEPS)

            picture(), picture()
            pairs = [(clocked(picture), beside_a_busy_program(picture)) for _ in range(BUSY_RUNS)]
            alone, beside = (statistics.median(column) for column in zip(*pairs, strict=True))
            ratio = statistics.median(busy / quiet for quiet, busy in pairs)
            name = f"{runtime}, {threads} thread{'s' * (threads > 1)}"
            lines.append(f"| {name} | {alone:.3f} | {beside:.3f} | {ratio:.2f} |")
    return "\n".join(lines)


def beside_a_busy_program(work: Call) -> float:
    """Seconds of `work`, a third time, while another program computes all the time."""
    other = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        work(), work()  # while it starts, and while the runtime learns what it shares the machine with
        return clocked(work)
    finally:
        other.kill()
        other.wait()


def compare(args: argparse.Namespace, folder: Path) -> str | None:
    """The part's table; None with --prepare."""
    weights, dtype = args.weights, "float32" if args.part.endswith("fp32") else args.dtype
    if args.part == "sd-v1":
        weights = peers.sd_weights(folder)
        os.environ["LATENT_LAB_CACHE"] = str(folder / "graphs")  # gone with the random weights
    runtime = args.runtime or ("openvino" if resolve_device(args.device).type == "cpu" else "torch")
    pipe = ldm_core.load(weights, args.device, dtype, runtime)
    others = prepare(pipe, weights, folder)
    if args.prepare:
        return None
    where = machine(pipe.device, pipe.dtype, pipe.runtime)
    sd = args.part == "sd-v1"
    rows = measure(pipe, others, 0 if sd else args.steps, args.runs or (3 if sd else 9))
    return table(rows, where, peak.peak(pipe.dtype, pipe.device), pipe.threads)


def main() -> None:
    """Print the part's table, and with --write put it into docs/performance.md."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=["emoji-128", "emoji-128-fp32", "sd-v1", "threads"])
    parser.add_argument("--weights", type=Path, default=EMBEDDED)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--runtime", help="of ours: torch or openvino; default: openvino on a processor, else torch")
    parser.add_argument("--steps", type=int, default=25)
    parser.add_argument("--runs", type=int, help="default: 9, of sd-v1 3")
    parser.add_argument("--keep", type=Path, help="a folder for the peers' files and graphs, which stays")
    parser.add_argument("--prepare", action="store_true", help="make files and graphs in --keep and measure nothing")
    parser.add_argument("--write", action="store_true", help=f"put the table into {REPORT.relative_to(ROOT)}")
    args = parser.parse_args()
    with ExitStack() as stack:
        folder = args.keep or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if args.part == "threads":
            cpu = torch.device("cpu")
            text = threads_table(machine(cpu, resolve_dtype("auto", cpu), "openvino"))
        else:
            text = compare(args, folder)
    if text is not None:
        print(text)
        if args.write:
            write(REPORT, args.part, text)


if __name__ == "__main__":
    main()
