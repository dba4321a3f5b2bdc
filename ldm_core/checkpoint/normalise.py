"""The named list of what published files may differ in. Each takes tensors and returns tensors and notes.

Nothing here guesses: what no rule explains is left in place, and strict loading refuses it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ldm_core.checkpoint.errors import CheckpointError
from ldm_core.checkpoint.files import Tensors, container_format, read_safetensors
from ldm_core.checkpoint.pickles import read_pickle
from ldm_core.checkpoint.relatives import relative_by_name
from ldm_core.checkpoint.state_dict_check import empty_model, expected_shapes, schedule_of
from ldm_core.config import ModelConfig
from ldm_core.diffusion.schedule import NoiseSchedule

Normalised = tuple[Tensors, list[str]]

WRAPPERS = ("state_dict", "model_state_dict", "module")  # where training programs keep the weights
MODEL, EMA = "model.", "model_ema."
EMA_COUNTERS = ("model_ema.decay", "model_ema.num_updates")
TEXT = "cond_stage_model.transformer."
TEXT_PARTS = ("embeddings.", "encoder.", "final_layer_norm.")
POSITION_IDS = "cond_stage_model.transformer.text_model.embeddings.position_ids"
MOST_POSITIONS = 100_000
VAE_ATTENTION_NAME = re.compile(
    r"(first_stage_model\.(?:encoder|decoder)\..*attn(?:_1|\.\d+))\."
    r"(group_norm|to_q|to_k|to_v|to_out\.0|query|key|value|proj_attn)\.(weight|bias)$"
)
VAE_ATTENTION = {
    "group_norm": "norm",
    **{"to_q": "q", "to_k": "k", "to_v": "v", "to_out.0": "proj_out"},
    **{"query": "q", "key": "k", "value": "v", "proj_attn": "proj_out"},
}
CONVOLUTION_1X1 = re.compile(
    r"first_stage_model\..*attn(_1|\.\d+)\.(q|k|v|proj_out)\.weight$"
    r"|model\.diffusion_model\..*\.proj_(in|out)\.weight$"
    r"|first_stage_model\.(post_)?quant_conv\.weight$"
)
UNUSED = tuple(
    (re.compile(pattern), what)
    for pattern, what in (
        (r"embedding_manager\.", "the embedding manager of textual inversion"),
        (r"first_stage_model\.(loss|model_ema|discriminator)\.", "the autoencoder's training loss or averages"),
        (r"(loss\.)?logvar$", "the loss's learned log-variance"),
        (r"(global_step|epoch|step|iteration)$", "a counter of training"),
        (
            r"cond_stage_model\.(.*\.)?(logit_scale|text_projection(\.weight)?|visual_projection\.weight"
            r"|vision_model\..*)$",
            "parts of CLIP that a text encoder does not use",
        ),
    )
)


def unwrap(content: Mapping[str, Any], file: str = "the file") -> tuple[Tensors, dict[str, str], list[str]]:
    """A pickle's dictionary → its weights, the words and numbers that lay beside them, and notes.

    Training keeps weights under "state_dict" (or another of WRAPPERS), beside optimiser, callbacks and counters. What
    is no tensor is left out: strict loading then says whether anything is missing. Raises CheckpointError where no
    tensor is left, or one has no numbers in it (a meta, sparse or quantised tensor).
    """
    words = _words(content) | _words(content.get("hyper_parameters"))
    notes = []
    for _ in WRAPPERS:  # at most each once: a dictionary can hold itself
        inner = next((content[key] for key in WRAPPERS if isinstance(content.get(key), Mapping)), None)
        if inner is not None:
            content, notes = inner, ["weights unwrapped from a training checkpoint"]
    tensors = {name: v for name, v in content.items() if isinstance(v, Tensor) and isinstance(name, str)}
    if not tensors:
        what = relative_by_name([str(name) for name in content])
        raise CheckpointError(f"{file} is {what}" if what else f"{file} holds no tensors by name, so no weights")
    others = [str(name) for name in content if name not in tensors]
    if others:
        notes.append(f"{len(others)} entries beside the weights left aside: {', '.join(others[:3])}")
    for name, tensor in tensors.items():
        if tensor.is_meta or tensor.is_quantized or tensor.layout is not torch.strided:
            raise CheckpointError(f"{file} has no plain numbers for {name} (a meta, sparse or quantised tensor)")
    return tensors, words, notes


def read_tensors(path: Path) -> Tensors:
    """The weights alone of a safetensors file or a torch zip; CheckpointError where it holds none."""
    if container_format(path) == "safetensors":
        return read_safetensors(path)[0]
    return unwrap(read_pickle(path), path.name)[0]


def _words(found: Any) -> dict[str, str]:
    """The entries of a dictionary that are words, numbers or truth values."""
    items = found.items() if isinstance(found, Mapping) else ()
    return {name: str(v) for name, v in items if isinstance(name, str) and isinstance(v, str | bool | int | float)}


def strip_wrappers(tensors: Tensors) -> Normalised:
    """torch.compile puts "_orig_mod." into names, data-parallel training "module." before all of them."""

    def bare(name: str) -> str:
        return re.sub(r"^(_forward_module|module)\.", "", name.replace("_orig_mod.", ""))

    renamed = {bare(name): value for name, value in tensors.items()}
    changed = renamed.keys() != tensors.keys() and len(renamed) == len(tensors)
    return (renamed, ["names without the level that a training wrapper added"]) if changed else (tensors, [])


def choose_ema(tensors: Tensors, use_ema: bool, expected: Iterable[str] = ()) -> Normalised:
    """Averaged weights lie beside the trained ones, as "model_ema." + the name without "model." and without dots.

    A file may hold averages alone; their names then come from `expected`. Raises CheckpointError where averages are
    asked for and there are none, and where there is nothing else and they are not asked for.
    """
    averaged = {name: value for name, value in tensors.items() if name.startswith(EMA)}
    rest = {name: value for name, value in tensors.items() if name not in averaged}
    trained = {name: value.dtype for name, value in rest.items() if name.startswith(MODEL)}
    alone = bool(averaged) and not trained
    if not use_ema:
        if alone:
            raise CheckpointError(
                "the file has averaged (EMA) weights alone: "
                "`python -m ldm_core convert IN OUT --ema` makes a file of them"
            )
        return rest, [f"{len(averaged)} averaged (EMA) tensors left aside"] if averaged else []
    for counter in EMA_COUNTERS:
        averaged.pop(counter, None)
    if not averaged:
        raise CheckpointError("the averaged (EMA) weights were asked for, but the file has none")
    for name in [name for name in expected if name.startswith(MODEL)] if alone else trained:
        rest.pop(name, None)
        flat = EMA + name.removeprefix(MODEL).replace(".", "")
        if flat in averaged:  # otherwise it is now missing, and strict loading says so
            value = averaged.pop(flat)
            rest[name] = value.to(trained.get(name, value.dtype))
    return rest | averaged, ["averaged (EMA) weights used"]


def modern_text_names(tensors: Tensors) -> Normalised:
    """Old files miss the level "text_model" that transformers has put around CLIP's text tower since."""

    def modern(name: str) -> str:
        inner = name.removeprefix(TEXT)
        old = name.startswith(TEXT) and inner.startswith(TEXT_PARTS)
        return f"{TEXT}text_model.{inner}" if old else name

    renamed = {modern(name): value for name, value in tensors.items()}
    return renamed, ["text encoder in the old naming"] if renamed.keys() != tensors.keys() else []


def modern_attention_names(tensors: Tensors) -> Normalised:
    """The autoencoder's attention as diffusers has called its parts, before 2023 and since."""

    def compvis(name: str) -> str:
        found = VAE_ATTENTION_NAME.match(name)
        return f"{found[1]}.{VAE_ATTENTION[found[2]]}.{found[3]}" if found else name

    renamed = {compvis(name): value for name, value in tensors.items()}
    changed = renamed.keys() != tensors.keys() and len(renamed) == len(tensors)
    return (renamed, ["the autoencoder's attention in diffusers' naming"]) if changed else (tensors, [])


def linear_as_convolution(tensors: Tensors) -> Normalised:
    """A linear layer [out,in] is a 1×1 convolution [out,in,1,1]; files have either where the model has convolutions."""
    flat = [name for name, value in tensors.items() if value.ndim == 2 and CONVOLUTION_1X1.match(name)]
    shaped = {**tensors, **{name: tensors[name][:, :, None, None] for name in flat}}
    return shaped, []


def drop_unused(tensors: Tensors) -> Normalised:
    """What changes no picture: see UNUSED."""
    rest, notes = dict(tensors), []
    for pattern, what in UNUSED:
        names = [name for name in rest if pattern.match(name)]
        for name in names:
            del rest[name]
        if names:
            notes.append(f"{what} left aside ({len(names)} tensors)")
    return rest, notes


def drop_position_ids(tensors: Tensors) -> Normalised:
    """Positions are 0…L−1 by definition, yet half-precision conversions and merges have damaged stored ones."""
    rest = dict(tensors)
    stored = rest.pop(POSITION_IDS, None)
    if stored is None:
        return rest, []
    # a stored view may claim any length with one number behind it
    long = stored.numel() > MOST_POSITIONS
    if not long and torch.equal(stored.flatten().double(), torch.arange(stored.numel()).double()):
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


def normalise(tensors: Tensors, config: ModelConfig, use_ema: bool = False) -> Normalised:
    """The whole list, in order, for CompVis-named tensors of a model of this geometry."""
    tensors, notes = strip_wrappers(tensors)
    names = expected_shapes(empty_model(config)) if use_ema else ()
    tensors, more = choose_ema(tensors, use_ema, names)
    notes += more
    steps = (modern_text_names, modern_attention_names, linear_as_convolution, drop_unused, drop_position_ids)
    for step in steps:
        tensors, more = step(tensors)
        notes += more
    tensors, more = drop_schedule(tensors, schedule_of(config))
    return tensors, notes + more
