"""A tiny model's file and its graphs, made once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from ldm_core.checkpoint import load_model, save_model
from ldm_core.models.latent_diffusion import LatentDiffusion
from ldm_core.presets import TINY
from ldm_core.runtime import convert
from ldm_core.runtime.choose import Candidate


@pytest.fixture(scope="session")
def tiny_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    save_model(LatentDiffusion(TINY), TINY, path, "float32")
    return path


@pytest.fixture(scope="session")
def graphs(tmp_path_factory: pytest.TempPathFactory, tiny_weights: Path) -> Path:
    """A cache that has the tiny model's graphs, made as the service makes them. Not to be changed."""
    pytest.importorskip("openvino")
    root = tmp_path_factory.mktemp("cache")
    convert.finish(convert.start(tiny_weights, root))
    return root


@pytest.fixture
def cache(graphs: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The same, as this process's cache."""
    monkeypatch.setenv("LATENT_LAB_CACHE", str(graphs))
    yield graphs


def candidate(weights: Path, dtype: torch.dtype = torch.float32) -> Candidate:
    loaded = load_model(weights, dtype=dtype)
    return Candidate(loaded.model.requires_grad_(False), weights, loaded.sha256)
