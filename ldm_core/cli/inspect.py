"""`python -m ldm_core inspect FILE`: what a weights file is."""

from __future__ import annotations

import argparse

from ldm_core.cli.weights import add_reading


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare this verb's arguments."""
    parser.description = "Say what a weights file is: layout, geometry, dtype, hash, what is missing or extra."
    parser.add_argument("path", nargs="+", help=".safetensors or .ckpt file, or diffusers folder")
    add_reading(parser)


def run(args: argparse.Namespace) -> int:
    """1 if one of the files would not load."""
    from ldm_core.checkpoint import inspect_file

    good = True
    for i, path in enumerate(args.path):
        inspection = inspect_file(path, args.ema, args.parameterization)
        print(*([""] if i else []), *inspection.lines(), sep="\n")
        good = good and inspection.loads
    return 0 if good else 1
