"""Any supported layout → CompVis-named tensors, a geometry, and notes; nothing is read from disk that is not needed."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ldm_core.checkpoint.declared import believe
from ldm_core.checkpoint.diffusers_folder import read_folder
from ldm_core.checkpoint.errors import CheckpointError, one_line
from ldm_core.checkpoint.files import Tensors, container_format, parse_json, read_safetensors, sha256
from ldm_core.checkpoint.normalise import normalise, unwrap
from ldm_core.checkpoint.pickles import read_pickle
from ldm_core.config import ModelConfig, Parameterization
from ldm_core.presets import SD_V1

CONFIG_KEY = "config"
FORMAT_KEY = "latent_lab_format"
FORMAT_VERSION = 1
OUR_PARTS = ("first_stage", "unet", "schedule")


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


def read_source(path: str | Path, use_ema: bool = False, parameterization: Parameterization | None = None) -> Source:
    """Read and normalise whatever lies at `path`; CheckpointError where nothing usable does.

    `parameterization` says what the network predicts where the file does not, or does wrongly.
    """
    path = Path(path).expanduser()
    metadata: dict[str, str] = {}
    words: Mapping[str, str] = {}
    notes: list[str] = []
    try:
        folder = path.is_dir()
    except OSError as error:  # a name longer than names are
        raise CheckpointError(f"{str(path)[:80]}… cannot be read: {error.strerror}") from error
    if folder:
        tensors, config, files = read_folder(path)
        layout, container = "diffusers", "folder"
    else:
        tensors, metadata, words, container, notes = _read_file(path)
        ours = _is_ours(metadata)
        config = _config_from_header(path, metadata) if ours else SD_V1
        layout, files = "latent-lab" if ours else "compvis", (path,)
        if CONFIG_KEY in metadata and not ours:
            notes.append("the header's 'config' is another program's, and is not read")
    tensors, config, believed = believe(path.name, tensors, words, config, parameterization)
    tensors, more = normalise(tensors, config, use_ema)
    return Source(path, layout, container, config, tensors, (*notes, *believed, *more), files, metadata)


def _read_file(path: Path) -> tuple[Tensors, dict[str, str], dict[str, str], str, list[str]]:
    """(tensors, the header's metadata, what it or the pickle declares, container, notes)."""
    if container_format(path) == "safetensors":
        tensors, metadata = read_safetensors(path)
        words = {} if _is_ours(metadata) else metadata  # our own config says it all
        return tensors, metadata, words, "safetensors", []
    tensors, words, notes = unwrap(read_pickle(path), path.name)
    return tensors, {}, words, "torch zip", notes


def _is_ours(metadata: Mapping[str, str]) -> bool:
    """Whether the header is one that save_model wrote: 'config' alone is a word that other programs use too."""
    return FORMAT_KEY in metadata or all(f'"{part}"' in metadata.get(CONFIG_KEY, "") for part in OUR_PARTS)


def _config_from_header(path: Path, metadata: dict[str, str]) -> ModelConfig:
    version = metadata.get(FORMAT_KEY, str(FORMAT_VERSION))
    if version != str(FORMAT_VERSION):
        raise CheckpointError(f"{path.name} has format version {version[:20]}; this version reads {FORMAT_VERSION}")
    try:
        return ModelConfig.from_dict(parse_json(metadata[CONFIG_KEY]))
    except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError) as error:
        raise CheckpointError(f"{path.name} has a damaged config in its header: {one_line(error)}") from error
