"""Latent diffusion you can open up: `load` a model, make pictures, look inside. Knows nothing of web or server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ldm_core.pipeline import load

__all__ = ["__version__", "load"]
__version__ = "0.2.0"


def __getattr__(name: str) -> Any:
    """`load` is ldm_core.pipeline's, and torch is imported when it is first asked for."""
    if name != "load":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from ldm_core.pipeline import load

    return load
