"""A home for tiny runs of the training command."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from ldm_core.config import TINY
from ldm_core.data.corpus import Entry, write_index
from ldm_core.models.text import FrozenCLIPEmbedder


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """corpus/ with eight white squares, runs/ ($LATENT_LAB_RUNS) with a text run called "words"."""
    monkeypatch.setenv("LATENT_LAB_RUNS", str(tmp_path / "runs"))
    drawings = np.zeros((8, 32, 32, 4), np.uint8)
    drawings[:, 8:24, 8:24] = 255
    (tmp_path / "corpus").mkdir()
    np.save(tmp_path / "corpus/drawings.npy", drawings)
    splits = ["train"] * 6 + ["heldout"] * 2
    entries = [Entry(f"thing {i}", "noto style", f"thing {i}", "", ("tag",), s) for i, s in enumerate(splits)]  # type: ignore[arg-type]
    write_index(tmp_path / "corpus/index.tsv", entries)
    text = FrozenCLIPEmbedder(TINY.text)  # type: ignore[arg-type]
    clip = {k.removeprefix("transformer."): v for k, v in text.state_dict().items()}
    (tmp_path / "runs/words").mkdir(parents=True)
    torch.save(
        {"step": 3, "seconds": 1.0, "averages": {}, "networks": {"clip": clip}}, tmp_path / "runs/words/state.pt"
    )
    return tmp_path
