"""data: build the captioned corpus."""

from __future__ import annotations

import argparse
from pathlib import Path

from tqdm import tqdm

from ldm_core.data.build import build


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """One corpus so far: emoji."""
    parser.add_argument("corpus", choices=["emoji"])
    parser.add_argument("--out", type=Path, required=True, help="folder to build in; a second call resumes")
    parser.add_argument("--limit", type=int, help="only the first LIMIT icons of each set, for a trial")


def run(args: argparse.Namespace) -> int:
    """Build with one progress bar per stage."""
    if args.limit is not None and args.limit < 1:
        raise ValueError(f"--limit must be at least 1, not {args.limit}")
    bars: dict[str, tqdm[None]] = {}

    def progress(what: str, done: int, total: int) -> None:
        bar = bars.setdefault(what, tqdm(total=total, desc=what))
        bar.update(done - bar.n)

    out = args.out.expanduser()  # a shell leaves --out=~/x as it is
    build(out, progress, args.limit)
    for bar in bars.values():
        bar.close()
    print((out / "counts.json").read_text(encoding="utf-8"))
    return 0
