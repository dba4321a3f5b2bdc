"""What is not weights gets one clear sentence, whatever its suffix."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from ldm_core.checkpoint import CheckpointError, inspect_file, load_model
from tests.tiny import tiny_checkpoint

FILES = {
    "empty": (b"", "is empty"),
    "text": (b"a red apple, noto style\n", "a text file"),
    "utf-8 text": ("ein Apfel, größer, 林檎".encode() * 40, "a text file"),
    "web page": (b"<!DOCTYPE html><html><body>Not found</body></html>", "a web page"),
    "xml": (b"\n  <?xml version='1.0'?>", "a web page"),
    "lfs pointer": (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n", "Git LFS pointer"),
    "gguf": (b"GGUF\x03\x00\x00\x00" + bytes(64), "GGUF"),
    "png": (b"\x89PNG\r\n\x1a\n" + bytes(64), "neither safetensors nor a torch file"),
    "noise": (bytes(range(128, 256)) * 8, "neither safetensors nor a torch file"),
    "zeros": (bytes(4096), "neither safetensors nor a torch file"),
    "short": (b"\x05", "a text file|neither"),
    "huge header": ((2**62).to_bytes(8, "little") + b"{}", "truncated or damaged safetensors"),
    "json": (b'{"a": 1}', "a text file"),
}


@pytest.mark.parametrize("suffix", [".safetensors", ".ckpt"])
@pytest.mark.parametrize("kind", FILES)
def test_not_weights(kind: str, suffix: str, tmp_path: Path) -> None:
    content, message = FILES[kind]
    path = tmp_path / f"file{suffix}"
    path.write_bytes(content)
    for door in (load_model, inspect_file):
        with pytest.raises(CheckpointError, match=message) as error:
            door(path)
        assert "\n" not in str(error.value)


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="there is no file"):
        load_model(tmp_path / "missing.safetensors")


def test_a_folder_of_something_else(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"without model_index\.json"):
        load_model(tmp_path)


@pytest.mark.parametrize("keep", [9, 200, 0.3, 0.999])
def test_a_truncated_safetensors(keep: float, tmp_path: Path) -> None:
    path = tiny_checkpoint(tmp_path)
    content = path.read_bytes()
    path.write_bytes(content[: int(keep if keep >= 1 else keep * len(content))])
    with pytest.raises(CheckpointError, match="truncated or damaged safetensors"):
        load_model(path)


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("conditioner.embedders.0.transformer.weight", "is an SDXL file"),
        ("cond_stage_model.model.token_embedding.weight", "is an SD v2 file"),
        ("lora_unet_down_blocks_0.lora_up.weight", "is a LoRA"),
        ("some.other.network.weight", "does not fit the geometry sd-v1: 1130 missing"),
    ],
)
def test_relatives_are_named(key: str, message: str, tmp_path: Path) -> None:
    save_file({key: torch.zeros(1)}, tmp_path / "file.safetensors")
    with pytest.raises(CheckpointError, match=message):
        load_model(tmp_path / "file.safetensors")


def test_a_compvis_file_of_another_geometry_is_one_sentence(tmp_path: Path) -> None:
    """Without a config in the header a file is SD v1 or nothing."""
    from safetensors.torch import load_file

    save_file(load_file(tiny_checkpoint(tmp_path)), tmp_path / "bare.safetensors")
    with pytest.raises(CheckpointError, match=r"does not fit the geometry sd-v1: .* of wrong shape"):
        load_model(tmp_path / "bare.safetensors")


@settings(max_examples=200)
@given(st.binary(max_size=600))
def test_any_bytes_are_refused_politely(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "any.safetensors"
    path.write_bytes(content)
    with pytest.raises(CheckpointError):
        inspect_file(path)
