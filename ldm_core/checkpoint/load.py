"""A file or folder → a model with its weights in place."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from pathlib import Path

import torch

from ldm_core.checkpoint.errors import CheckpointError
from ldm_core.checkpoint.files import Progress, Tensors, read_json
from ldm_core.checkpoint.source import read_source
from ldm_core.checkpoint.state_dict_check import empty_model, require_equal
from ldm_core.config import ModelConfig, Parameterization
from ldm_core.models.latent_diffusion import LatentDiffusion
from ldm_core.shipped import CLIP_TOKENIZER

PACKAGED_VOCAB = 49408
MOST_VOCAB = 20_000_000  # bytes of a vocab.json; CLIP's has 1 MB


@dataclass(frozen=True, eq=False)
class LoadedModel:
    """A model in evaluation mode and where it came from; `report` says in sentences what was normalised."""

    model: LatentDiffusion
    config: ModelConfig
    path: Path
    sha256: str
    report: tuple[str, ...]

    @property
    def tokenizer_dir(self) -> Path:
        """The folder with vocab.json and merges.txt; CheckpointError where no fitting one is found."""
        return require_tokenizer(self.path, self.config)


class ReloadableModel:
    """A model that may leave memory while nothing looks inside it, and is read again when it is. Thread-safe."""

    def __init__(self, model: LatentDiffusion, again: Callable[[], LoadedModel] | None = None) -> None:
        """`again` loads it once more; without it the model stays."""
        self._model: LatentDiffusion | None = model
        self._again = again
        self._lock = threading.Lock()

    @property
    def model(self) -> LatentDiffusion:
        """The model, read again where it has left. CheckpointError where its file is gone or another one now."""
        with self._lock:
            if self._model is None:
                assert self._again is not None
                self._model = self._again().model.requires_grad_(False)
            return self._model

    def release(self) -> None:
        """Take it out of memory, once nobody uses it any more."""
        if self._again is not None:
            with self._lock:
                self._model = None


def load_model(
    path: str | Path,
    dtype: torch.dtype | None = None,
    device: torch.device | str = "cpu",
    use_ema: bool = False,
    parameterization: Parameterization | None = None,
    progress: Progress | None = None,
) -> LoadedModel:
    """Read our safetensors, an SD v1 single file (.safetensors, .ckpt) or a diffusers folder, judged by content.

    dtype None keeps what is stored (the widest, if a file mixes); the schedule's buffers stay fp32. Where neither
    dtype nor device changes, weights stay mapped from the file. `parameterization` overrides what the file says the
    network predicts. `progress` is told before each tensor how many of how many bytes are in place; what it raises ends
    the load. Raises CheckpointError with one clear sentence.
    """
    source = read_source(path, use_ema, parameterization)
    model = empty_model(source.config)
    require_equal(source.path.name, source.tensors, model)
    stored = stored_dtype(source.tensors)
    tensors = source.tensors
    done, size = 0, sum(tensor.nbytes for tensor in tensors.values())
    for name, tensor in tensors.items():  # one at a time, so that the old tensor is gone before the next one is made
        if progress is not None:
            progress(done, size)
        done += tensor.nbytes
        tensors[name] = tensor.to(device=device, dtype=dtype or stored)
    model.load_state_dict({**tensors, **dict(model.named_buffers())}, assign=True)
    return LoadedModel(model.to(device).eval(), source.config, source.path, source.sha256(), source.notes)


def stored_dtype(tensors: Tensors) -> torch.dtype:
    """The one dtype of the weights, or the widest of several. CheckpointError for integers and 8-bit floats."""
    if strange := unread_dtypes(tensors):
        raise CheckpointError(f"weights of dtype {strange[0]} are not read here; float16, bfloat16, float32 are")
    return reduce(torch.promote_types, {tensor.dtype for tensor in tensors.values()})


def unread_dtypes(tensors: Tensors) -> list[str]:
    """The names of those dtypes that loading refuses: integers, 8-bit and complex floats."""
    read = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
    return sorted({str(t.dtype).removeprefix("torch.") for t in tensors.values() if t.dtype not in read})


def find_tokenizer(path: Path, config: ModelConfig) -> Path | None:
    """The tokenizer that belongs to weights at `path`: their own if its vocabulary fits, else the packaged one."""
    if config.text is None:
        return None
    own = (path if path.is_dir() else path.parent) / "tokenizer"
    if _vocab_size(own) == config.text.vocab:
        return own
    return CLIP_TOKENIZER if config.text.vocab == PACKAGED_VOCAB and CLIP_TOKENIZER.is_dir() else None


def require_tokenizer(path: Path, config: ModelConfig) -> Path:
    """The same, or CheckpointError."""
    found = find_tokenizer(path, config)
    if found is None:
        vocab = config.text.vocab if config.text else 0
        raise CheckpointError(f"no folder 'tokenizer' with {vocab} entries lies beside {path.name}")
    return found


def _vocab_size(folder: Path) -> int | None:
    try:
        vocab = read_json(folder / "vocab.json", MOST_VOCAB)
    except CheckpointError:
        return None
    return len(vocab) if isinstance(vocab, dict) else None
