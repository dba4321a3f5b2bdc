"""Our guided step and our whole picture against diffusers', same weights, same process, turn by turn.

python benchmarks/speed.py                            # the embedded model
python benchmarks/speed.py --sd --steps 1 --runs 3    # SD v1's size with random weights, one step
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from diffusers import DDIMScheduler, StableDiffusionPipeline

import ldm_core
from ldm_core.checkpoint import convert, save_model
from ldm_core.config import SD_V1
from ldm_core.diffusion.denoiser import Conditioning, Query
from ldm_core.models.latent_diffusion import LatentDiffusion
from ldm_core.pipeline import Pipeline


def interleaved(ours: Callable[[], object], theirs: Callable[[], object], runs: int) -> tuple[float, float, float]:
    """Median seconds of each, and the median of the ratios of neighbours: a machine that drifts slows both."""
    ours(), theirs()
    pairs = []
    for _ in range(runs):
        start = time.perf_counter()
        ours()
        middle = time.perf_counter()
        theirs()
        pairs.append((middle - start, time.perf_counter() - middle))
    medians = [statistics.median(column) for column in zip(*pairs, strict=True)]
    return medians[0], medians[1], statistics.median(a / b for a, b in pairs)


def load_both(weights: Path, folder: Path, device: str, dtype: str) -> tuple[Pipeline, StableDiffusionPipeline]:
    """The same file in this project and, converted, in diffusers."""
    pipe = ldm_core.load(weights, device, dtype)
    convert(weights, folder, "diffusers")
    peer = StableDiffusionPipeline.from_pretrained(folder, torch_dtype=pipe.dtype, safety_checker=None).to(pipe.device)
    peer.scheduler = DDIMScheduler.from_config(peer.scheduler.config)
    peer.set_progress_bar_config(disable=True)
    return pipe, peer


def main() -> None:
    """Print one line per measurement."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, default=Path("weights/emoji-128.safetensors"))
    parser.add_argument("--sd", action="store_true", help="SD v1's geometry with random weights instead of a file")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--steps", type=int, default=25)
    parser.add_argument("--runs", type=int, default=5)
    args = parser.parse_args()

    with tempfile.TemporaryDirectory() as folder:
        weights = args.weights
        if args.sd:
            weights = Path(folder) / "sd.safetensors"
            save_model(LatentDiffusion(SD_V1), SD_V1, weights, "float16")
        pipe, peer = load_both(weights, Path(folder) / "diffusers", args.device, args.dtype)
        where = f"{pipe.config.name}, {pipe.device}, {pipe.dtype}, {torch.get_num_threads()} threads"
        print(f"{where}, torch {torch.__version__}")

        context, empty = pipe.encode_prompt("a red apple"), pipe.encode_prompt("")
        query = Query(torch.randn(pipe.config.latent_shape()), torch.tensor(501.0), 0)
        pair = torch.stack([empty, context])
        x = query.x.to(pipe.device, pipe.dtype).expand(2, -1, -1, -1)

        def their_step() -> object:
            with torch.no_grad():
                return peer.unet(x, 501, encoder_hidden_states=pair).sample

        def our_picture() -> object:
            return pipe.generate("a red apple", steps=args.steps)

        def their_picture() -> object:
            size = pipe.config.image_size
            return peer("a red apple", height=size, width=size, num_inference_steps=args.steps, guidance_scale=5.0)

        rows = {
            "guided step": (lambda: pipe.denoise([query], [Conditioning(context, empty, 5.0)]), their_step),
            f"{args.steps} steps and decoding": (our_picture, their_picture),
        }
        for name, (ours, theirs) in rows.items():
            a, b, ratio = interleaved(ours, theirs, args.runs)
            print(f"{name:>24}: ours {a:.3f} s, diffusers {b:.3f} s, ratio {ratio:.2f}")


if __name__ == "__main__":
    main()
