"""Parts of a weights file or a run → modules."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import safe_open
from torch import Tensor, nn

from ldm_core.checkpoint.files import container_format, read_safetensors
from ldm_core.checkpoint.source import CONFIG_KEY


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


def declared_config(path: Path) -> dict[str, Any]:
    """The model's configuration in the header of our safetensors files; {} of other programs'."""
    with safe_open(str(path), framework="pt") as file:
        config: dict[str, Any] = json.loads((file.metadata() or {}).get(CONFIG_KEY, "{}"))
    return config


def fill(module: nn.Module, tensors: Mapping[str, Tensor], path: Path, part: str) -> None:
    """Load a part's weights out of a file or a run, strictly; ValueError in one sentence where they do not fit."""
    try:
        module.load_state_dict(tensors)
    except RuntimeError as error:  # torch names every tensor; the first says enough
        first = " ".join(str(error).partition(":")[2].split())[:200]
        raise ValueError(f"{path} has weights of another geometry under {part!r}: {first}") from error
