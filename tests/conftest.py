"""What every test may rely on: no network, a Chromium or a reason, a time budget, its own precision."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from scripts import chromium as chromium_script

os.environ["HF_HUB_OFFLINE"] = "1"  # before anything imports huggingface_hub, which reads it once
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch: two threads at a tiny layer mostly wait for each other
os.environ["LATENT_LAB_CACHE"] = os.devnull  # no graphs but those a test makes: elsewhere pictures are torch's
settings.register_profile("house", deadline=None)  # two busy cores: a deadline would measure the neighbours
settings.load_profile("house")
STARTED = time.monotonic()
SHARED = ("tests/browser/", "tests/clients/", "tests/runtime/")  # a server each, compiled graphs
LONGEST = (*SHARED, "tests/training/", "tests/app/")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--time-budget", type=float, metavar="SECONDS", help="skip tests not yet started by then")


def pytest_configure(config: pytest.Config) -> None:
    if "gpu" not in (config.option.markexpr or "").replace("not gpu", ""):
        os.environ["CUDA_VISIBLE_DEVICES"] = ""  # "auto" means the processor, whose numbers are expected


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes longest comes first: begun last, it would keep one process busy and leave the other idle."""
    begins = [*LONGEST, ""]
    items.sort(key=lambda item: next(k for k, begin in enumerate(begins) if item.nodeid.startswith(begin)))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """A file's tests stay in one process, and so do those of a folder that shares what takes long to make."""
    from xdist.scheduler import LoadFileScheduling

    class Scheduling(LoadFileScheduling):  # type: ignore[misc]
        def _split_scope(self, nodeid: str) -> str:
            file: str = super()._split_scope(nodeid)
            return next((folder for folder in SHARED if file.startswith(folder)), file)

    config.option.loadscopereorder = False  # by the number of tests
    return Scheduling(config, log) if config.getoption("dist") == "loadfile" else None


def pytest_runtest_setup(item: pytest.Item) -> None:
    budget = item.config.getoption("--time-budget")
    if budget is not None and time.monotonic() - STARTED > budget:
        pytest.skip(f"the time budget of {budget:.0f} s is used up: run make test-slow")
    if item.get_closest_marker("gpu"):
        import torch

        if not torch.cuda.is_available():
            pytest.skip("no GPU, or not asked for: make test ARGS='-m gpu'")


@pytest.fixture(autouse=True)
def own_precision() -> Iterator[None]:
    """accelerate keeps a process to its first precision; after a run in bf16 the next test may still train in fp32."""
    yield
    if "accelerate" in sys.modules:
        sys.modules["accelerate"].state.AcceleratorState._reset_state()


@pytest.fixture(scope="session")
def chromium() -> str:
    """Path of the browser, for Playwright's `executable_path`; the test is skipped where there is none."""
    path = chromium_script.find()
    if path is None:
        pytest.skip(chromium_script.MISSING)
    return path


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """corpus/ with eight white squares, runs/ ($LATENT_LAB_RUNS) with a text run called "words"."""
    import numpy as np
    import torch

    from ldm_core.data.corpus import Entry, write_index
    from ldm_core.models.text import FrozenCLIPEmbedder
    from ldm_core.presets import TINY

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
