"""Latent diffusion you can open up: `load` a model, make pictures, look inside. Knows nothing of web or server."""

from __future__ import annotations

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
    from ldm_core.pipeline import load as load_pipeline

    return load_pipeline(path, device, dtype, runtime, threads, parameterization)
