"""Weights on disk ↔ LatentDiffusion: read by content, normalise by a named list, load strictly, save with config."""

from ldm_core.checkpoint.errors import CheckpointError
from ldm_core.checkpoint.load import LoadedModel, load_model
from ldm_core.checkpoint.save import save_model

__all__ = ["CheckpointError", "LoadedModel", "load_model", "save_model"]
