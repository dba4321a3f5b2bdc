"""Old .ckpt files are read without running anything in them."""

from __future__ import annotations

import pickle
import sys
import types
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ldm_core.checkpoint import CheckpointError
from ldm_core.checkpoint.pickles import read_pickle
from ldm_core.checkpoint.source import read_source

WEIGHT = torch.arange(6.0).reshape(2, 3)


@pytest.fixture
def lightning() -> Iterator[type]:
    """A stand-in for the class that old files name, gone again when they are read."""
    names = ("pytorch_lightning", "pytorch_lightning.callbacks", "pytorch_lightning.callbacks.model_checkpoint")
    modules = {name: types.ModuleType(name) for name in names}
    callback = type("ModelCheckpoint", (), {"__module__": names[-1]})
    modules[names[-1]].ModelCheckpoint = callback  # type: ignore[attr-defined]
    sys.modules.update(modules)
    yield callback
    for name in names:
        sys.modules.pop(name, None)


def forget_lightning() -> None:
    for name in [name for name in sys.modules if name.startswith("pytorch_lightning")]:
        del sys.modules[name]


def test_a_lightning_file_loads_without_lightning(tmp_path: Path, lightning: type) -> None:
    state = {
        "state_dict": {"model.a": WEIGHT},
        "callbacks": {lightning: {"monitor": "val/loss", "instance": lightning(), "best": np.float64(0.5)}},
        "global_step": 470000,
        "optimizer_states": [],
    }
    torch.save(state, tmp_path / "old.ckpt")
    forget_lightning()
    content = read_pickle(tmp_path / "old.ckpt")
    assert torch.equal(content["state_dict"]["model.a"], WEIGHT)
    assert "pytorch_lightning" not in sys.modules
    source = read_source(tmp_path / "old.ckpt")
    assert (source.container, source.layout, [*source.tensors]) == ("torch zip", "compvis", ["model.a"])


def test_a_torch_file_under_the_other_suffix(tmp_path: Path) -> None:
    torch.save({"model.a": WEIGHT}, tmp_path / "weights.safetensors")
    assert torch.equal(read_source(tmp_path / "weights.safetensors").tensors["model.a"], WEIGHT)


def test_the_stubs_do_not_stay(tmp_path: Path, lightning: type) -> None:
    torch.save({"callbacks": {lightning: 1}}, tmp_path / "old.ckpt")
    read_pickle(tmp_path / "old.ckpt")
    with pytest.raises(pickle.UnpicklingError):
        torch.load(tmp_path / "old.ckpt", weights_only=True)


class Payload:
    """Creates a file when a careless reader unpickles it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (open, (str(self.path), "w"))


@pytest.mark.parametrize("suffix", [".ckpt", ".safetensors", ".txt"])
def test_code_in_a_pickle_does_not_run(suffix: str, tmp_path: Path) -> None:
    witness = tmp_path / "witness"
    torch.save({"state_dict": {"a": WEIGHT}, "extra": Payload(witness)}, tmp_path / f"evil{suffix}")
    with pytest.raises(CheckpointError, match="run code"):
        read_source(tmp_path / f"evil{suffix}")
    assert not witness.exists()
    with (tmp_path / f"evil{suffix}").open("rb") as file:
        torch.load(file, weights_only=False)
    assert witness.exists(), "the payload works where it is let"


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_a_bare_pickle_is_refused(protocol: int, tmp_path: Path) -> None:
    witness = tmp_path / "witness"
    (tmp_path / "evil.ckpt").write_bytes(pickle.dumps(Payload(witness), protocol))
    with pytest.raises(CheckpointError, match="bare pickle"):
        read_source(tmp_path / "evil.ckpt")
    assert not witness.exists()


def test_the_format_before_zip_is_refused(tmp_path: Path) -> None:
    torch.save({"a": WEIGHT}, tmp_path / "old.ckpt", _use_new_zipfile_serialization=False)
    with pytest.raises(CheckpointError, match="bare pickle"):
        read_source(tmp_path / "old.ckpt")


def test_a_zip_of_something_else(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.ckpt", "w") as archive:
        archive.writestr("readme.txt", "hello")
    with pytest.raises(CheckpointError, match="not one of weights"):
        read_source(tmp_path / "a.ckpt")


def test_a_zip_bomb_is_refused_before_it_unpacks(tmp_path: Path) -> None:
    torch.save({"a": WEIGHT}, tmp_path / "good.ckpt")
    with (
        zipfile.ZipFile(tmp_path / "good.ckpt") as good,
        zipfile.ZipFile(tmp_path / "bomb.ckpt", "w", zipfile.ZIP_DEFLATED) as bomb,
    ):
        for entry in good.infolist():
            bomb.writestr(entry.filename, good.read(entry))
        bomb.writestr("good/data/9", bytes(50_000_000))
    with pytest.raises(CheckpointError, match="more than its size"):
        read_source(tmp_path / "bomb.ckpt")


@pytest.mark.parametrize("keep", [100, 0.5, 0.98])
def test_a_truncated_zip(keep: float, tmp_path: Path) -> None:
    torch.save({"a": torch.zeros(10000)}, tmp_path / "a.ckpt")
    content = (tmp_path / "a.ckpt").read_bytes()
    (tmp_path / "a.ckpt").write_bytes(content[: int(keep if keep >= 1 else keep * len(content))])
    with pytest.raises(CheckpointError, match="truncated or damaged"):
        read_source(tmp_path / "a.ckpt")


def test_no_dictionary(tmp_path: Path) -> None:
    torch.save([WEIGHT], tmp_path / "a.ckpt")
    with pytest.raises(CheckpointError, match="holds a list"):
        read_source(tmp_path / "a.ckpt")
