"""Any supported layout → one CompVis-named safetensors file, or a diffusers folder."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, get_args

import torch

from ldm_core.checkpoint.declared import contradictions
from ldm_core.checkpoint.diffusers_export import write_config, write_folder
from ldm_core.checkpoint.errors import CheckpointError
from ldm_core.checkpoint.files import Progress
from ldm_core.checkpoint.load import find_tokenizer, require_tokenizer, stored_dtype
from ldm_core.checkpoint.save import save_model, tokenizer_beside
from ldm_core.checkpoint.source import CONFIG_KEY, FORMAT_KEY, Source, read_source
from ldm_core.checkpoint.state_dict_check import empty_model, require_equal

Format = Literal["compvis", "diffusers"]


def convert(
    source: str | Path | Source,
    out: str | Path,
    format: Format = "compvis",
    dtype: torch.dtype | None = None,
    progress: Progress | None = None,
) -> Path:
    """Write weights, as they lie at a path or were read from one, to `out`, which must not exist yet.

    "compvis": one safetensors file with CompVis' key names and our config in its header, and where the tokenizer
    is not SD v1's, the folder 'tokenizer' beside it, where no other model's may lie. "diffusers": a folder. dtype None
    keeps the stored one, but for float64, which is written as float32; `progress` is told bytes written and in all.
    Raises CheckpointError as `read_source`, and for an `out` that cannot be written.
    """
    if format not in get_args(Format):
        raise ValueError(f"format must be one of {', '.join(get_args(Format))}, not {format!r}")
    out = Path(out).expanduser()
    if out.exists():
        raise CheckpointError(f"{out} exists already and is not overwritten")
    if not out.parent.is_dir():
        raise CheckpointError(f"there is no folder {out.parent} to write into")
    read = source if isinstance(source, Source) else read_source(source)
    require_equal(read.path.name, read.tensors, empty_model(read.config))
    dtype = dtype or stored_dtype(read.tensors)
    if dtype is torch.float64:  # loaded, never written
        dtype = torch.float32
    if format == "diffusers":
        write_config(read.config)  # says what a folder cannot hold, before a tokenizer is missed
        write_folder(read.tensors, read.config, out, dtype, require_tokenizer(read.path, read.config), progress)
        return out
    stale = {CONFIG_KEY, FORMAT_KEY, *contradictions(read.metadata, read.config)}
    metadata = {k: v for k, v in read.metadata.items() if k not in stale}
    with tokenizer_beside(out, find_tokenizer(read.path, read.config), read.config):
        save_model(read.tensors, read.config, out, dtype, metadata, progress)
    return out
