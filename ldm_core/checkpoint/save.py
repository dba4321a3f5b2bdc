"""A model → one safetensors file with its config in the header, and its tokenizer beside it."""

from __future__ import annotations

import filecmp
import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor

from ldm_core.checkpoint.errors import CheckpointError
from ldm_core.checkpoint.files import Progress, write_safetensors
from ldm_core.checkpoint.load import find_tokenizer
from ldm_core.checkpoint.source import CONFIG_KEY, FORMAT_KEY, FORMAT_VERSION
from ldm_core.checkpoint.state_dict_check import empty_model, expected_shapes, require_equal
from ldm_core.config import ModelConfig
from ldm_core.models.latent_diffusion import LatentDiffusion
from ldm_core.shipped import CLIP_TOKENIZER

TOKENIZER_FILES = ("vocab.json", "merges.txt")
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


@contextmanager
def tokenizer_beside(path: Path, tokenizer: Path | None, config: ModelConfig) -> Iterator[None]:
    """Write weights to `path` in the body; afterwards the folder `tokenizer` lies beside them, where loading looks.

    SD v1's is not copied, since it comes with the code. CheckpointError, before the body, where another model's lies.
    """
    beside = path.parent / "tokenizer"
    if tokenizer is not None and beside.exists() and not _same_files(tokenizer, find_tokenizer(path, config)):
        raise CheckpointError(f"{beside} is another model's tokenizer; write into a folder of its own")
    yield
    if tokenizer is not None and not beside.exists() and not _same_files(tokenizer, CLIP_TOKENIZER):
        beside.mkdir()
        for name in TOKENIZER_FILES:
            shutil.copyfile(tokenizer / name, beside / name)


def _same_files(tokenizer: Path, other: Path | None) -> bool:
    """Whether two folders are one tokenizer."""
    if other is None:
        return False
    return filecmp.cmpfiles(tokenizer, other, TOKENIZER_FILES, shallow=False)[0] == [*TOKENIZER_FILES]


def _cast(name: str, tensor: Tensor, dtype: torch.dtype) -> Tensor:
    cast = tensor.detach().to(dtype)
    if not torch.isfinite(cast).all():
        what = f"too large for {str(dtype).removeprefix('torch.')}" if torch.isfinite(tensor).all() else "not finite"
        raise CheckpointError(f"{name} has values that are {what}")
    return cast
