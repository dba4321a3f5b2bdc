"""Files made to hurt: bounded in time, memory and depth, one clear sentence, nothing steers the terminal."""

from __future__ import annotations

import io
import json
import os
import pickle
import resource
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from ldm_core.__main__ import main
from ldm_core.checkpoint import CheckpointError, convert, inspect_file, load_model
from ldm_core.presets import TINY
from tests.tiny import tiny_checkpoint

SECONDS = 10.0  # of the processor, whatever else it does; each took minutes, or never ended


@pytest.fixture(autouse=True)
def soon() -> Iterator[None]:
    """Neither long nor large."""
    began, before = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    yield
    assert time.process_time() - began < SECONDS
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 400_000, "kilobytes"


def zipped(path: Path, content: bytes) -> Path:
    """A torch zip around a pickle of our own making."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", content)
        archive.writestr("archive/version", "3\n")
    return path


def doubled(levels: int, end: bytes) -> bytes:
    """t = (t, t), again and again: 2^levels leaves in 3 × levels bytes."""
    body = b"".join(pickle.BINPUT + bytes([i]) + pickle.BINGET + bytes([i]) + pickle.TUPLE2 for i in range(levels))
    return pickle.PROTO + b"\x02" + pickle.EMPTY_DICT + pickle.EMPTY_TUPLE + body + end


PICKLES = {
    "a key of 2^50 leaves": (doubled(50, pickle.NONE + pickle.SETITEM + pickle.STOP), "nested without end"),
    "a value of 2^50 leaves": (
        pickle.PROTO + b"\x02" + pickle.EMPTY_DICT + b"X\x01\x00\x00\x00a" + doubled(50, b"")[3:] + b"s.",
        "nested without end",
    ),
    "a key a million deep": (
        pickle.PROTO + b"\x02" + pickle.EMPTY_DICT + pickle.NONE + pickle.TUPLE1 * 900_000 + b"Ns.",
        "nested without end",
    ),
    "ten million steps": (pickle.PROTO + b"\x02" + b"N0" * 5_000_000 + b"}.", "more than 1,000,000 steps"),
    "a buffer of 2^40 bytes": (
        b"\x80\x02cbuiltins\nbytearray\n" + pickle.LONG1 + b"\x06" + (2**40).to_bytes(6, "little") + b"\x85R.",
        "asks for memory",
    ),
    "lists a million deep": (b"\x80\x02" + b"]" * 400_000 + b"a" * 399_999 + b".", "holds a list|damaged"),
    "a dictionary that holds itself": (b"\x80\x02}q\x00X\x0a\x00\x00\x00state_dicth\x00s.", "holds no tensors by name"),
    "no operands": (b"\x80\x02\x86.", "damaged"),
    "no end": (b"\x80\x02}", "damaged"),
    "garbage": (bytes(range(256)), "damaged"),
}


@pytest.mark.parametrize("kind", PICKLES)
def test_pickles(kind: str, tmp_path: Path) -> None:
    content, message = PICKLES[kind]
    with pytest.raises(CheckpointError, match=message) as error:
        load_model(zipped(tmp_path / "file.ckpt", content))
    assert "\n" not in str(error.value)


def test_ordinary_files_are_far_from_the_bounds(tmp_path: Path) -> None:
    """As large as a training checkpoint of SD v1 gets: weights, averages and an optimiser's two moments each."""
    weights = {f"model.diffusion_model.blocks.{i}.weight": torch.zeros(2, 2) for i in range(1200)}
    optimiser = {i: {"exp_avg": torch.zeros(2, 2), "exp_avg_sq": torch.zeros(2, 2), "step": 3} for i in range(1200)}
    averages = {f"model_ema.{i}": torch.zeros(2, 2) for i in range(1200)}
    torch.save({"state_dict": weights | averages, "optimizer_states": [{"state": optimiser}]}, tmp_path / "a.ckpt")
    with pytest.raises(CheckpointError, match="is a UNet alone"):
        load_model(tmp_path / "a.ckpt")


@pytest.mark.parametrize(
    "tensor",
    [
        torch.zeros(4, device="meta"),
        torch.zeros(4, 4).to_sparse(),
        torch.quantize_per_tensor(torch.ones(4), 0.1, 0, torch.quint8),
    ],
    ids=["meta", "sparse", "quantised"],
)
def test_tensors_without_numbers(tensor: torch.Tensor, tmp_path: Path) -> None:
    torch.save({"model.diffusion_model.out.2.bias": tensor}, tmp_path / "file.ckpt")
    with pytest.raises(CheckpointError, match=r"no plain numbers|run code"):
        load_model(tmp_path / "file.ckpt")


def test_a_view_that_claims_a_terabyte(tmp_path: Path) -> None:
    name = "cond_stage_model.transformer.text_model.embeddings.position_ids"
    torch.save({name: torch.zeros(1).expand(2**40)}, tmp_path / "file.ckpt")
    with pytest.raises(CheckpointError, match="does not fit"):
        load_model(tmp_path / "file.ckpt")


def test_a_torch_file_that_reaches_past_its_end(tmp_path: Path) -> None:
    """The number of elements stands in the pickle, the bytes in the archive: the smaller one counts."""
    buffer = io.BytesIO()
    torch.save({"model.diffusion_model.out.2.bias": torch.zeros(4)}, buffer)
    with zipfile.ZipFile(buffer) as good, zipfile.ZipFile(tmp_path / "w.safetensors", "w") as bad:
        for entry in good.infolist():
            content = good.read(entry)
            if entry.filename.endswith("data.pkl"):  # storage of 4 → of 200 elements
                content = content.replace(b"cpuq\x06K\x04", b"cpuq\x06K\xc8").replace(
                    b"K\x00K\x04\x85", b"K\x00K\xc8\x85"
                )
                assert content.count(b"\xc8") == 2
            bad.writestr(entry.filename, content)
    with pytest.raises(CheckpointError):
        load_model(tmp_path / "w.safetensors")


def header(**changes: Any) -> dict[str, str]:
    config = TINY.to_dict()
    for name, value in changes.items():
        part, _, field = name.partition("__")
        if field:
            config[part][field] = value
        else:
            config[part] = value
    return {"config": json.dumps(config), "latent_lab_format": "1"}


HEADERS = {
    "depth": (header(unet__transformer_depth=10**9), "transformer_depth = 1000000000, beyond"),
    "every depth at its bound": (
        header(unet__transformer_depth=64, unet__num_res_blocks=64, unet__channel_mult=[1] * 16, image_size=2**16),
        "blocks, beyond",
    ),
    "image size": (header(image_size=2**40), "image_size = 1099511627776, beyond"),
    "no picture": (header(image_size=0), "image_size 0 is not a multiple of 4"),
    "betas": (header(schedule__given_betas=[0.1] * 200_000), "given_betas = 200000, beyond|longer|characters"),
    "deep": ({"config": "[" * 100_000 + "]" * 100_000, "latent_lab_format": "1"}, "nested too deeply"),
    "long": ({"config": "[" + "1," * 1_000_000 + "1]", "latent_lab_format": "1"}, "read at most"),
}


@pytest.mark.parametrize("kind", HEADERS)
def test_configs_in_the_header(kind: str, tmp_path: Path) -> None:
    metadata, message = HEADERS[kind]
    save_file({"x": torch.zeros(1)}, tmp_path / "file", metadata)
    with pytest.raises(CheckpointError, match=message) as error:
        load_model(tmp_path / "file")
    assert len(str(error.value)) < 300


def test_a_header_of_forty_megabytes(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes((40_000_000).to_bytes(8, "little") + b"{" + b" " * 40_000_000)
    with pytest.raises(CheckpointError, match="a header of 40,000,000 bytes"):
        load_model(tmp_path / "file")


def endless(path: Path) -> None:
    path.symlink_to("/dev/zero")


def deep(path: Path) -> None:
    path.write_text("[" * 100_000)


def long(path: Path) -> None:
    path.write_text(f'{{"a": "{"b" * 2_000_000}"}}')


def binary(path: Path) -> None:
    path.write_bytes(bytes(range(256)))


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="a POSIX matter")
@pytest.mark.parametrize("make", [os.mkfifo, endless, deep, long, binary, Path.mkdir])
@pytest.mark.parametrize("name", ["model_index.json", "unet/config.json", "scheduler/scheduler_config.json"])
def test_a_config_file_that_is_no_file(make: Callable[[Path], None], name: str, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    for part in ("unet", "vae", "text_encoder", "scheduler"):
        (folder / part).mkdir(parents=True)
        (folder / part / ("scheduler_config.json" if part == "scheduler" else "config.json")).write_text("{}")
    (folder / "model_index.json").write_text("{}")
    (folder / name).unlink()
    make(folder / name)
    with pytest.raises(CheckpointError) as error:
        load_model(folder)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("make", [os.mkfifo, endless, deep])
def test_a_vocabulary_that_is_no_file(make: Callable[[Path], None], tmp_path: Path) -> None:
    path = tiny_checkpoint(tmp_path)
    (tmp_path / "tokenizer").mkdir()
    make(tmp_path / "tokenizer" / "vocab.json")
    assert load_model(path).tokenizer_dir.name == "clip-tokenizer", "the packaged one fits"


def test_a_weights_file_that_is_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo.safetensors")
    endless(tmp_path / "zero.safetensors")
    for name in ("fifo", "zero"):
        with pytest.raises(CheckpointError, match="neither a file nor a folder"):
            load_model(tmp_path / f"{name}.safetensors")


ESCAPES = "\x1b]0;owned\x07\x1b[2J\u202eevil\r\nfit         complete"


def test_a_header_of_many_tensors(tmp_path: Path) -> None:
    """Empty ones, which take no room in the file; each takes a moment."""
    empty = {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}
    header = json.dumps({f"k{i}": empty for i in range(100_000)}).encode()
    path = tmp_path / "many.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header)
    with pytest.raises(CheckpointError, match="has 100,000 tensors; 20,000 are read at most"):
        inspect_file(path)


def test_a_name_longer_than_names_are() -> None:
    with pytest.raises(CheckpointError, match="too long"):
        inspect_file("a" * 5000)


def test_nothing_out_of_a_file_steers_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "file.safetensors"
    save_file({ESCAPES: torch.zeros(1)}, path, {ESCAPES: ESCAPES} | {f"k{i:03d}": "v" for i in range(500)})
    assert main(["inspect", str(path)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert all(line.isprintable() for line in lines)
    assert len(lines) < 60
    assert [line for line in lines if line.startswith("fit ")] == lines[-1:]
    for verb in (load_model, lambda p: convert(p, tmp_path / "out"), inspect_file):
        try:
            verb(path)
        except CheckpointError as error:
            assert str(error).isprintable()
    named = tmp_path / "\x1b[2J.safetensors"
    named.write_bytes(b"hello")
    assert main(["inspect", str(named)]) == 2
    assert all(line.isprintable() for line in capsys.readouterr().err.splitlines())
