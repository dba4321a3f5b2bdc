"""Samples a second of training the embedded UNet: this project's loop, and a plain diffusers and accelerate loop.

python benchmarks/training.py [--runs 3] [--steps 12] [--batch 48] [--write]

Turn by turn, each in processes of its own: ours as docs/training.md says, a process of one thread a core; theirs one
process with all threads. Same sizes, batch, precision and AdamW; both encode captions with the frozen text encoder,
clip gradients and average weights. Latents and token ids are random and in memory already.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.report import write  # noqa: E402
from ldm_core.runtime.threads import cores as available_cores  # noqa: E402
from ldm_core.training.diffusion.batches import Batch  # noqa: E402

REPORT = ROOT / "docs" / "performance.md"
WEIGHTS = ROOT / "weights" / "emoji-128.safetensors"
LATENTS = 1024
LOGGED = "samples_per_second"
LR, BETAS, DECAY, AVERAGE = 6e-4, (0.9, 0.99), 0.01, 0.998


def samples(shape: tuple[int, ...], text_len: int, vocab: int) -> tuple[Tensor, Tensor]:
    """Latents fp32 [LATENTS,*shape] and token ids int64 [LATENTS,text_len], the same for both."""
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(LATENTS, *shape, generator=generator)
    return z, torch.randint(0, vocab, (LATENTS, text_len), generator=generator)


class Drawn:
    """Our task's batches: a process's share of the step's rows."""

    scale_factor = 1.0

    def __init__(self, z: Tensor, ids: Tensor, size: int) -> None:
        self.z, self.ids, self.size, self.latent_shape = z, ids, size, z.shape[1:]

    def __getitem__(self, step: int) -> Batch:
        """Rows, timesteps and noise of a step."""
        generator = torch.Generator().manual_seed(step)
        rows = torch.randint(0, LATENTS, (self.size,), generator=generator)
        noise = torch.randn(self.size, *self.latent_shape, generator=generator)
        return Batch(self.z[rows], self.ids[rows], torch.randint(0, 1000, (self.size,), generator=generator), noise)

    def missing(self, step: int) -> str | None:
        """Nothing."""

    def validation(self) -> Iterator[tuple[str, Iterator[Batch]]]:
        """None: the loop is stopped before."""
        yield from ()


def ours(steps: int, batch: int) -> None:
    """The library's task and loop; prints what it logs of its last steps."""
    from ldm_core.devices import claim_devices
    from ldm_core.presets import EMOJI_128
    from ldm_core.training.common.frozen_parts import load_autoencoder
    from ldm_core.training.common.loop import make_accelerator, start
    from ldm_core.training.common.metric_log import read_metrics
    from ldm_core.training.common.settings import LoopSettings
    from ldm_core.training.diffusion.conditions import frozen_text
    from ldm_core.training.diffusion.settings import DiffusionTraining
    from ldm_core.training.diffusion.task import DiffusionTask

    accelerator = make_accelerator(device=claim_devices("cpu", os.environ))
    loop = LoopSettings(batch=batch, lr=LR, ema_decay=AVERAGE, schedule="constant", max_steps=10**6, log_every=steps)
    settings = DiffusionTraining(loop=loop, betas=BETAS, weight_decay=DECAY)
    assert EMOJI_128.text is not None
    z, ids = samples(EMOJI_128.latent_shape(), EMOJI_128.text.text_len, EMOJI_128.text.vocab)
    task = DiffusionTask(
        settings,
        Drawn(z, ids, batch // accelerator.num_processes),
        frozen_text(EMOJI_128, str(WEIGHTS)),
        load_autoencoder(WEIGHTS, EMOJI_128.first_stage),
        accelerator,
    )
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        start(task, settings, directory, accelerator).run(until=2 * steps)  # the first half warms up
        if accelerator.is_main_process:
            told = [value for _, what, value, _ in read_metrics(directory / "metrics.csv") if what == LOGGED]
            print(f"samples a second: {told[-1]}", flush=True)


def theirs(steps: int, batch: int) -> None:
    """The loop of diffusers' text-to-image example, on latents; prints the samples a second of its second half."""
    from accelerate import Accelerator
    from diffusers import DDPMScheduler, UNet2DConditionModel
    from diffusers.training_utils import EMAModel
    from torch.utils.data import DataLoader, TensorDataset
    from transformers import CLIPTextModel

    from ldm_core.devices import bf16_is_faster

    folder = Path(os.environ["PEER"])
    unet = UNet2DConditionModel.from_config(UNet2DConditionModel.load_config(folder / "unet"))
    text = CLIPTextModel.from_pretrained(folder / "text_encoder", dtype=torch.float32).requires_grad_(False).eval()
    config = unet.config
    z, ids = samples(
        (config.in_channels, config.sample_size, config.sample_size),
        text.config.max_position_embeddings,
        text.config.vocab_size,
    )
    accelerator = Accelerator(cpu=True, mixed_precision="bf16" if bf16_is_faster() else "no")
    optimizer = torch.optim.AdamW(unet.parameters(), lr=LR, betas=BETAS, weight_decay=DECAY)
    loader = DataLoader(TensorDataset(z, ids), batch_size=batch, shuffle=True, drop_last=True)
    unet, optimizer, loader = accelerator.prepare(unet, optimizer, loader)
    average = EMAModel(unet.parameters(), decay=AVERAGE)
    noising = DDPMScheduler(beta_schedule="scaled_linear", prediction_type="v_prediction")
    batches = (rows for _ in iter(int, 1) for rows in loader)
    for step in range(2 * steps):
        if step == steps:
            began = time.perf_counter()
        latents, tokens = next(batches)
        noise, t = torch.randn_like(latents), torch.randint(0, 1000, (len(latents),))
        with accelerator.autocast():
            context = text(tokens)[0]
            found = unet(noising.add_noise(latents, noise, t), t, context, return_dict=False)[0]
        loss = F.mse_loss(found.float(), noising.get_velocity(latents, noise, t))
        accelerator.backward(loss)
        accelerator.clip_grad_norm_(unet.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        average.step(unet.parameters())
        loss.item()
    print(f"samples a second: {steps * batch / (time.perf_counter() - began)}", flush=True)


def measured(command: list[str], threads: int, peer: Path) -> float:
    """What a command's last line says, with so many threads a process."""
    env = {**os.environ, "OMP_NUM_THREADS": str(threads), "PEER": str(peer), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True)
    lines = [line for line in done.stdout.splitlines() if line.startswith("samples a second: ")]
    if not lines:
        raise RuntimeError(done.stderr[-2000:])
    return float(lines[-1].split(": ")[1])


def compare(runs: int, steps: int, batch: int) -> str:
    """The table."""
    cores = available_cores()
    batch = max(cores, batch - batch % cores)
    told = [str(Path(__file__)), "--steps", str(steps), "--batch", str(batch), "--loop"]
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--local-addr", "127.0.0.1"]
    torchrun += ["--nproc_per_node", str(cores)]
    with tempfile.TemporaryDirectory() as name:
        peer = Path(name) / "diffusers"
        convert = [sys.executable, "-m", "ldm_core", "convert", str(WEIGHTS), str(peer), "--format", "diffusers"]
        subprocess.run(convert, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        rounds = [
            (measured([*torchrun, *told, "ours"], 1, peer), measured([sys.executable, *told, "theirs"], cores, peer))
            for _ in range(runs)
        ]
    here, there = (statistics.median(column) for column in zip(*rounds, strict=True))
    ratio = statistics.median(a / b for a, b in rounds)
    from benchmarks.speed import machine
    from ldm_core.devices import bf16_is_faster

    where = machine(torch.device("cpu"), torch.bfloat16 if bf16_is_faster() else torch.float32, "torch")
    lines = [f"Measured on {where}; batch {batch}.", "", "| | samples a second |", "|---|---|"]
    lines += [f"| ours, {cores} processes of one thread | {here:.1f} |"]
    lines += [f"| diffusers and accelerate, one process of {cores} threads | {there:.1f} |", f"| ratio | {ratio:.2f} |"]
    return "\n".join(lines)


def main() -> None:
    """Print the table, and with --write put it into docs/performance.md."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--steps", type=int, default=12, help="measured, after as many unmeasured ones")
    parser.add_argument("--batch", type=int, default=48)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--loop", choices=["ours", "theirs"], help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.loop:
        return {"ours": ours, "theirs": theirs}[args.loop](args.steps, args.batch)
    text = compare(args.runs, args.steps, args.batch)
    print(text)
    if args.write:
        write(REPORT, "training", text)
    return None


if __name__ == "__main__":
    main()
