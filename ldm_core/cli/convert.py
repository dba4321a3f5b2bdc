"""`python -m ldm_core convert IN OUT`: weights from one layout to another."""

from __future__ import annotations

import argparse

from ldm_core.cli.weights import add_reading

DTYPES = ("float16", "bfloat16", "float32")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare this verb's arguments."""
    parser.description = "Read weights in any supported layout and write them in another one."
    parser.add_argument("source", metavar="IN", help=".safetensors or .ckpt file, or diffusers folder")
    parser.add_argument("out", metavar="OUT", help="file or folder to write; must not exist yet")
    parser.add_argument("--format", choices=("compvis", "diffusers"), default="compvis", help="default: %(default)s")
    parser.add_argument("--dtype", choices=DTYPES, help="default: as stored")
    add_reading(parser)


def run(args: argparse.Namespace) -> int:
    """Write OUT, with a progress bar."""
    import torch
    from tqdm import tqdm

    from ldm_core.checkpoint import convert
    from ldm_core.checkpoint.source import read_source

    with tqdm(desc=args.out, unit="B", unit_scale=True, delay=0.1) as bar:

        def progress(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        dtype = getattr(torch, args.dtype) if args.dtype else None
        read = read_source(args.source, args.ema, args.parameterization)
        out = convert(read, args.out, args.format, dtype, progress)
    print(f"wrote {out}")
    return 0
