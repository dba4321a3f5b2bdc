"""Latent diffusion you can open up: `load` a model, make pictures, look inside. Knows nothing of web or server."""

from __future__ import annotations

import os
from collections.abc import MutableMapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ldm_core.config import Parameterization
    from ldm_core.pipeline import Pipeline

__version__ = "0.2.0"


def load(
    path: str | Path,
    device: str = "auto",
    dtype: str = "auto",
    runtime: str = "auto",
    threads: int | None = None,
    parameterization: Parameterization | None = None,
) -> Pipeline:
    """A Pipeline from a weights file or folder; see ldm_core.pipeline.load. torch is imported only now."""
    wait_passively(os.environ)
    from ldm_core.pipeline import load as load_pipeline

    return load_pipeline(path, device, dtype, runtime, threads, parameterization)


def wait_passively(environ: MutableMapping[str, str]) -> None:
    """Let torch's threads sleep, not spin, where they wait for each other; works before torch is first imported.

    Spinning threads take the core that the one they wait for would need: beside other busy programs a picture on two
    threads took twenty times as long (docs/performance.md). A setting of OMP_WAIT_POLICY that is there stays.
    """
    environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
