"""Any supported layout → CompVis-named tensors, a geometry, and notes; nothing is read from disk that is not needed."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from ldm_core.checkpoint.diffusers_folder import read_folder
from ldm_core.checkpoint.errors import CheckpointError, one_line
from ldm_core.checkpoint.files import Tensors, judge, read_safetensors, sha256
from ldm_core.checkpoint.normalise import normalise, unwrap
from ldm_core.checkpoint.pickles import read_pickle
from ldm_core.checkpoint.state_dict_check import schedule_of
from ldm_core.config import SD_V1, ModelConfig

CONFIG_KEY = "config"
FORMAT_KEY = "latent_lab_format"
FORMAT_VERSION = 1


@dataclass(frozen=True, eq=False)
class Source:
    """Weights as they lie on disk, under our names; tensors are mapped and keep their stored dtype."""

    path: Path
    layout: str  # "latent-lab", "compvis" or "diffusers"
    container: str  # "safetensors", "torch zip" or "folder"
    config: ModelConfig
    tensors: Tensors
    notes: tuple[str, ...]
    files: tuple[Path, ...]
    metadata: dict[str, str]

    def sha256(self) -> str:
        """Of the file; of a folder, the hash of its weights files' hashes, one to a line."""
        sums = [sha256(file) for file in self.files]
        return sums[0] if len(sums) == 1 else hashlib.sha256("\n".join(sums).encode()).hexdigest()


def read_source(path: str | Path, use_ema: bool = False) -> Source:
    """Read and normalise whatever lies at `path`; CheckpointError where nothing usable does."""
    path = Path(path)
    if path.is_dir():
        return _read_folder(path, use_ema)
    metadata: dict[str, str] = {}
    notes: list[str] = []
    if judge(path) == "safetensors":
        container = "safetensors"
        tensors, metadata = read_safetensors(path)
    else:
        container = "torch zip"
        tensors, notes = unwrap(read_pickle(path))
    ours = CONFIG_KEY in metadata
    config = _config_from_header(path, metadata) if ours else SD_V1
    tensors, more = normalise(tensors, schedule_of(config), use_ema)
    layout = "latent-lab" if ours else "compvis"
    return Source(path, layout, container, config, tensors, (*notes, *more), (path,), metadata)


def _read_folder(path: Path, use_ema: bool) -> Source:
    tensors, config, files = read_folder(path)
    tensors, notes = normalise(tensors, schedule_of(config), use_ema)
    return Source(path, "diffusers", "folder", config, tensors, tuple(notes), files, {})


def _config_from_header(path: Path, metadata: dict[str, str]) -> ModelConfig:
    version = metadata.get(FORMAT_KEY, "1")
    if version != str(FORMAT_VERSION):
        raise CheckpointError(f"{path.name} has format version {version}; this version reads {FORMAT_VERSION}")
    try:
        return ModelConfig.from_dict(json.loads(metadata[CONFIG_KEY]))
    except (ValueError, TypeError, AttributeError, ArithmeticError) as error:
        raise CheckpointError(f"{path.name} has a damaged config in its header: {one_line(error)}") from error
