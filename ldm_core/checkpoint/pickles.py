"""Torch zip pickles (.ckpt) without running them: torch's restricted unpickler plus inert stand-ins."""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path
from typing import Any

import torch
from torch.serialization import safe_globals

from ldm_core.checkpoint.errors import CheckpointError, one_line

# What Lightning wrote beside the weights of published files: callback classes as dictionary keys, the best score
# as a numpy scalar. None of it is needed, so every name becomes a class that does nothing.
INERT_GLOBALS = (
    "pytorch_lightning.callbacks.model_checkpoint.ModelCheckpoint",
    "pytorch_lightning.callbacks.early_stopping.EarlyStopping",
    "pytorch_lightning.callbacks.lr_monitor.LearningRateMonitor",
    "pytorch_lightning.callbacks.progress.ProgressBar",
    "pytorch_lightning.utilities.parsing.AttributeDict",
    "main.SetupCallback",
    "main.ImageLogger",
    "main.CUDACallback",
    "numpy.core.multiarray.scalar",
    "numpy._core.multiarray.scalar",
    "numpy.dtype",
)


class Inert:
    """Accepts what a pickle would give to a callback, and forgets it."""

    def __init__(self, *_args: object, **_kwargs: object) -> None: ...

    def __setstate__(self, _state: object) -> None: ...


def read_pickle(path: Path) -> dict[str, Any]:
    """The dictionary in a torch zip archive, tensors mapped from disk. CheckpointError where it would need code."""
    _check_archive(path)
    stubs: list[Any] = [(type(name.rpartition(".")[2], (Inert,), {}), name) for name in INERT_GLOBALS]
    try:
        with safe_globals(stubs), path.open("rb") as file:
            # torch judges a path by its suffix first; an open file it cannot, but neither map
            by_path = path.suffix.lower() != ".safetensors"
            content = torch.load(path if by_path else file, map_location="cpu", weights_only=True, mmap=by_path)
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{path.name} is a pickle that wants to run code or holds more than tensors, and no option here runs it: "
            "get the .safetensors file of the same model"
        ) from error
    except (RuntimeError, EOFError, ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise CheckpointError(f"{path.name} is a damaged torch file: {one_line(error)}") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{path.name} holds a {type(content).__name__}, not a dictionary of weights")
    return content


def _check_archive(path: Path) -> None:
    """Torch stores its tensors uncompressed, side by side; anything else is another zip, or a bomb."""
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, ValueError, OSError) as error:
        raise CheckpointError(f"{path.name} is a truncated or damaged zip archive") from error
    if not any(entry.filename.endswith("/data.pkl") for entry in entries):
        raise CheckpointError(f"{path.name} is a zip archive, but not one of weights that torch wrote")
    packed = any(entry.compress_type != zipfile.ZIP_STORED for entry in entries)
    if packed or sum(entry.file_size for entry in entries) > path.stat().st_size:
        raise CheckpointError(f"{path.name} unpacks to more than its size, which no weights file does")
