"""Make the graphs of a weights file, in a process of its own: tracing holds Python's lock for much of its time.

    python -m ldm_core.runtime.convert WEIGHTS [CACHE]

A picture can be made meanwhile by torch in the process that asked.
"""

from __future__ import annotations

import argparse
import logging
import os
import subprocess
import sys
from pathlib import Path

import torch

from ldm_core.checkpoint import load_model
from ldm_core.runtime import cache
from ldm_core.runtime.base import RuntimeUnavailable
from ldm_core.runtime.openvino import graph_name, unsupported_reason, write_graphs

NICENESS = 15  # of 0…19: whoever makes pictures goes first
ROOT = Path(__file__).resolve().parents[2]
log = logging.getLogger(__name__)


def start(weights: Path, root: Path) -> subprocess.Popen[str]:
    """Begin making the graphs in another process, at low priority and on one thread; `finish` waits for it."""
    paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]
    one = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", "ldm_core.runtime.convert", str(weights.resolve()), str(root)],
        env={**os.environ, **one, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen[str]) -> None:
    """Wait for `start`'s process; RuntimeUnavailable with its last line where it failed."""
    _, stderr = process.communicate()
    if process.returncode:
        lines = stderr.strip().splitlines()
        raise RuntimeUnavailable(f"the graphs could not be made: {lines[-1] if lines else process.returncode}")


def convert(weights: Path, root: Path) -> Path:
    """The folder with this file's graphs, made now unless it is there."""
    loaded = load_model(weights)
    reason = unsupported_reason(loaded.config, torch.device("cpu"), torch.float32)
    if reason is not None:
        raise RuntimeUnavailable(reason)
    name = graph_name(loaded.sha256, loaded.config)
    found = cache.find(root, name)
    return found or cache.store(root, name, lambda folder: write_graphs(loaded.model, folder))


def main(argv: list[str] | None = None) -> int:
    """Exit status 0 where the graphs are in the cache; else 1, and one line on standard error."""
    parser = argparse.ArgumentParser(prog="python -m ldm_core.runtime.convert", description="Make a file's graphs.")
    parser.add_argument("weights", type=Path)
    parser.add_argument("cache", type=Path, nargs="?", default=None, help="default: $LATENT_LAB_CACHE, or the user's")
    args = parser.parse_args(argv)
    root = args.cache or cache.cache_root()
    if root is None:
        sys.stderr.write("there is no folder for the cache: set LATENT_LAB_CACHE to one of your own\n")
        return 1
    if hasattr(os, "nice"):
        os.nice(NICENESS)
    torch.set_num_threads(1)
    try:
        convert(args.weights, root)
    except (ValueError, OSError, RuntimeError) as error:
        sys.stderr.write(f"{str(error).strip().splitlines()[-1]}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
