"""Parts of a weights file, for `--init`."""

from __future__ import annotations

from pathlib import Path

from safetensors import safe_open
from torch import nn


def load_part(path: Path, prefix: str, module: nn.Module) -> None:
    """Fill a module, strictly and in its own dtype, with a safetensors file's tensors under `prefix`."""
    with safe_open(str(path), framework="pt") as file:
        found = {k[len(prefix) :]: file.get_tensor(k) for k in file.keys() if k.startswith(prefix)}  # noqa: SIM118
    if not found:
        raise ValueError(f"{path} has no weights under {prefix!r}")
    module.load_state_dict(found)
