"""A model → one safetensors file with its config in the header."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from ldm_core.checkpoint.errors import CheckpointError
from ldm_core.checkpoint.files import Progress, write_safetensors
from ldm_core.checkpoint.source import CONFIG_KEY, FORMAT_KEY, FORMAT_VERSION
from ldm_core.checkpoint.state_dict_check import empty_model, expected_shapes, require_equal
from ldm_core.config import ModelConfig
from ldm_core.models.latent_diffusion import LatentDiffusion

DTYPES = {"float16": torch.float16, "bfloat16": torch.bfloat16, "float32": torch.float32}


def save_model(
    model: LatentDiffusion | Mapping[str, Tensor],
    config: ModelConfig,
    path: str | Path,
    dtype: str | torch.dtype = "float16",
    metadata: Mapping[str, str] | None = None,
    progress: Progress | None = None,
) -> None:
    """Write the weights under CompVis' key names, atomically; equal weights give equal bytes.

    A state dict may carry schedule buffers; they are left out, being computed on loading. `metadata` joins the
    header. Raises CheckpointError if the tensors are not exactly the config's, or too large for the dtype.
    """
    target = DTYPES.get(str(dtype).removeprefix("torch."))
    if target is None:
        raise ValueError(f"dtype must be one of {', '.join(DTYPES)}, not {dtype}")
    path = Path(path)
    given = model.state_dict() if isinstance(model, LatentDiffusion) else model
    shape_of = empty_model(config)
    computed = {name for name, _ in shape_of.named_buffers()}
    tensors = {name: value for name, value in given.items() if name not in computed}
    require_equal("the model to save", tensors, shape_of)
    tensors = {name: _cast(name, tensors[name], target) for name in expected_shapes(shape_of)}
    header = {
        **(metadata or {}),
        "format": "pt",  # what other loaders ask for
        FORMAT_KEY: str(FORMAT_VERSION),
        CONFIG_KEY: json.dumps(config.to_dict()),
    }
    write_safetensors(path, tensors, header, progress)


def _cast(name: str, tensor: Tensor, dtype: torch.dtype) -> Tensor:
    cast = tensor.detach().to(dtype)
    if not torch.isfinite(cast).all():
        what = f"too large for {str(dtype).removeprefix('torch.')}" if torch.isfinite(tensor).all() else "not finite"
        raise CheckpointError(f"{name} has values that are {what}")
    return cast
