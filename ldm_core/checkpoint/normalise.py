"""The named list of what published files may differ in. Each takes tensors and returns tensors and notes.

Nothing here guesses: what no rule explains is left in place, and strict loading refuses it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ldm_core.checkpoint.errors import CheckpointError
from ldm_core.checkpoint.files import Tensors
from ldm_core.diffusion.schedule import NoiseSchedule

Normalised = tuple[Tensors, list[str]]

EMA = "model_ema."
EMA_COUNTERS = ("model_ema.decay", "model_ema.num_updates")
TEXT = "cond_stage_model.transformer."
TEXT_PARTS = ("embeddings.", "encoder.", "final_layer_norm.")
POSITION_IDS = "cond_stage_model.transformer.text_model.embeddings.position_ids"


def unwrap(content: Mapping[str, Any]) -> Normalised:
    """Training checkpoints keep their weights under "state_dict", beside optimiser and callbacks."""
    notes = []
    inner = content.get("state_dict")
    if isinstance(inner, Mapping):
        content, notes = inner, ["weights unwrapped from a training checkpoint"]
    odd = [str(name) for name, value in content.items() if not isinstance(value, Tensor) or not isinstance(name, str)]
    if odd:
        raise CheckpointError(f"{len(odd)} entries are not tensors, among them {', '.join(odd[:3])}")
    return dict(content), notes


def choose_ema(tensors: Tensors, use_ema: bool) -> Normalised:
    """Averaged weights lie beside the trained ones, as "model_ema." + the name without "model." and without dots."""
    averaged = {name: value for name, value in tensors.items() if name.startswith(EMA)}
    rest = {name: value for name, value in tensors.items() if name not in averaged}
    if not use_ema:
        return rest, [f"{len(averaged)} averaged (EMA) tensors left aside"] if averaged else []
    for counter in EMA_COUNTERS:
        averaged.pop(counter, None)
    if not averaged:
        raise CheckpointError("the averaged (EMA) weights were asked for, but the file has none")
    for name in [name for name in rest if name.startswith("model.")]:
        trained, flat = rest.pop(name), EMA + name.removeprefix("model.").replace(".", "")
        if flat in averaged:  # otherwise it is now missing, and strict loading says so
            rest[name] = averaged.pop(flat).to(trained.dtype)
    return rest | averaged, ["averaged (EMA) weights used"]


def modern_text_names(tensors: Tensors) -> Normalised:
    """Old files miss the level "text_model" that transformers has put around CLIP's text tower since."""

    def modern(name: str) -> str:
        inner = name.removeprefix(TEXT)
        old = name.startswith(TEXT) and inner.startswith(TEXT_PARTS)
        return f"{TEXT}text_model.{inner}" if old else name

    renamed = {modern(name): value for name, value in tensors.items()}
    return renamed, ["text encoder in the old naming"] if renamed.keys() != tensors.keys() else []


def drop_position_ids(tensors: Tensors) -> Normalised:
    """Positions are 0…L−1 by definition, yet half-precision conversions and merges have damaged stored ones."""
    rest = dict(tensors)
    stored = rest.pop(POSITION_IDS, None)
    if stored is None or torch.equal(stored.flatten().double(), torch.arange(stored.numel()).double()):
        return rest, []
    return rest, ["the stored position_ids are damaged; 0, 1, 2, … is used, as always"]


def drop_schedule(tensors: Tensors, schedule: NoiseSchedule) -> Normalised:
    """Schedule buffers are always computed; stored ones are only compared, at their own precision."""
    rest, notes = dict(tensors), []
    for name, ours in schedule.buffers().items():
        stored = rest.pop(name, None)
        if stored is not None and not _agrees(stored, ours):
            notes.append(f"the stored {name} is not this schedule's; the computed one is used")
    return rest, notes


def _agrees(stored: Tensor, ours: Tensor) -> bool:
    if stored.shape != ours.shape or not stored.is_floating_point():
        return False
    info = torch.finfo(stored.dtype)
    rounded = ours.to(stored.dtype).double()
    # a few units in the last place; below the smallest normal number, of the rounding step there
    return torch.allclose(stored.double(), rounded, rtol=8 * info.eps, atol=8 * info.tiny * info.eps)


def normalise(tensors: Tensors, schedule: NoiseSchedule, use_ema: bool = False) -> Normalised:
    """The whole list, in order, for CompVis-named tensors."""
    tensors, notes = choose_ema(tensors, use_ema)
    for step in (modern_text_names, drop_position_ids):
        tensors, more = step(tensors)
        notes += more
    tensors, more = drop_schedule(tensors, schedule)
    return tensors, notes + more
