"""Loading weights as CompVis' constructors do, but saying what was done."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from ldm_core.checkpoint import CheckpointError
from ldm_core.checkpoint.normalise import read_tensors
from ldm_core.training.common.ema import LitEma

EMA = "model_ema."  # CompVis' averages: this + the name inside the UNet's wrapper, without dots


@dataclass(frozen=True)
class LoadReport:
    """Names of tensors: left out by a prefix, wanted but not there, there but not wanted."""

    ignored: tuple[str, ...]
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]


def init_from_ckpt(
    module: nn.Module, path: str | Path, ignore_keys: Sequence[str] = (), prefix: str = ""
) -> LoadReport:
    """Fill what fits of a module from a checkpoint file; shapes must agree.

    ignore_keys are prefixes of names in the file. Names under `prefix` lose it; others then count as unexpected. Raises
    CheckpointError for a file that cannot be read, that needs code to run, or where a shape differs.
    """
    path = Path(path).expanduser()
    tensors = read_tensors(path)
    ignored = sorted(name for name in tensors if name.startswith(tuple(ignore_keys)))
    kept = {name.removeprefix(prefix): value for name, value in tensors.items() if name not in ignored}
    try:
        missing, unexpected = module.load_state_dict(kept, strict=False)
    except RuntimeError as error:
        raise CheckpointError(f"{path.name} does not fit: {str(error).splitlines()[-1].strip()}") from error
    return LoadReport(tuple(ignored), tuple(missing), tuple(unexpected))


def take_averages(ema: LitEma, state: dict[str, Any], prefix: str) -> None:
    """Move CompVis' averages out of a state dict about to be loaded into the model's own.

    Where the state dict has none, they begin anew from the weights it brings.
    """
    averages = {name: EMA + name.replace(".", "") for name in ema.shadow}
    found = set(averages.values()) <= state.keys()
    for name, shadow in ema.shadow.items():
        value = state.pop(averages[name]) if found else state.get(f"{prefix}model.{name}", shadow)
        if value.shape == shadow.shape:  # otherwise loading the weights themselves says so
            shadow.copy_(value)
    if found:
        state.pop(EMA + "decay", None)
        ema.num_updates = int(state.pop(EMA + "num_updates", ema.num_updates))
