"""Weights on disk ↔ LatentDiffusion: read by content, normalise by a named list, load strictly, save with config."""

from ldm_core.checkpoint.convert import convert
from ldm_core.checkpoint.errors import CheckpointError
from ldm_core.checkpoint.inspect import Inspection, inspect_file
from ldm_core.checkpoint.load import LoadedModel, ReloadableModel, load_model, require_tokenizer
from ldm_core.checkpoint.save import save_model

__all__ = [
    "CheckpointError",
    "Inspection",
    "LoadedModel",
    "ReloadableModel",
    "convert",
    "inspect_file",
    "load_model",
    "require_tokenizer",
    "save_model",
]
