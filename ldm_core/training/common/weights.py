"""Parts of a weights file or a run → modules."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor, nn

from ldm_core.checkpoint.files import container_format, read_safetensors


def load_part(path: Path, prefix: str, module: nn.Module) -> None:
    """Fill a module, strictly and in its own dtype, with a safetensors file's tensors under `prefix`.

    ValueError in one sentence where it is not such a file, or of another geometry.
    """
    if container_format(path) != "safetensors":
        raise ValueError(f"{path} is no safetensors file; `python -m ldm_core convert` makes one of it")
    tensors, _ = read_safetensors(path)
    found = {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
    if not found:
        raise ValueError(f"{path} has no weights under {prefix!r}")
    fill(module, found, path, prefix)


def fill(module: nn.Module, tensors: Mapping[str, Tensor], path: Path, part: str) -> None:
    """Load a part's weights out of a file or a run, strictly; ValueError in one sentence where they do not fit."""
    try:
        module.load_state_dict(tensors)
    except RuntimeError as error:  # torch names every tensor; the first says enough
        first = " ".join(str(error).partition(":")[2].split())[:200]
        raise ValueError(f"{path} has weights of another geometry under {part!r}: {first}") from error
