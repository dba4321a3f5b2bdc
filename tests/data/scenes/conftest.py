"""Scenes out of the shipped corpus: 600 drawings in one style, 40 of the composable things among them."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from ldm_core.data.corpus import Corpus
from ldm_core.data.scenes.draw import Drawings

SHIPPED = Path(__file__).parents[3] / "app" / "labs" / "losses" / "mini-corpus.zip"


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    folder = tmp_path_factory.mktemp("corpus")
    with zipfile.ZipFile(SHIPPED) as archive:
        archive.extractall(folder)
    return Corpus(folder)


@pytest.fixture(scope="session")
def drawings(corpus: Corpus) -> Drawings:
    return Drawings(corpus)
