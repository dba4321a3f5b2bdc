"""What a file is, judged by its content and never by its suffix; safetensors in and out."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from ldm_core.checkpoint.errors import CheckpointError
from ldm_core.files import read_text, replacing

Tensors = dict[str, Tensor]
Progress = Callable[[int, int], None]  # bytes done, bytes in all
Kind = Literal["safetensors", "zip"]

DTYPE_NAMES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}
MOST_HEADER = 32_000_000  # bytes of a safetensors header; SD v1's has 150,000
MOST_TENSORS = 20_000  # SD v1 has 1,130, and as many again with averages; each costs a tenth of a millisecond
MOST_CONFIG = 1_000_000  # bytes of a JSON of options
STRANGERS = (
    (b"version https://git-lfs", "a Git LFS pointer, not the weights it points to: fetch the file itself"),
    (b"GGUF", "a GGUF file, which is not read here"),
    (b"\x89HDF", "an HDF5 file, which is not read here"),
)


def container_format(path: Path) -> Kind:
    """The container format of a file by its first bytes. CheckpointError says what it is instead."""
    if not path.exists():
        raise CheckpointError(f"there is no file {path}")
    if not path.is_file():
        raise CheckpointError(f"{path} is neither a file nor a folder of weights")
    try:
        with path.open("rb") as file:
            head = file.read(512)
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror}") from error
    if head.startswith(b"PK\x03\x04"):
        return "zip"
    if len(head) > 8 and head[8:9] == b"{":
        return "safetensors"
    raise CheckpointError(f"{path.name} is {_stranger(head)}")


def _stranger(head: bytes) -> str:
    """What a file is that is not weights."""
    if not head:
        return "empty"
    for magic, what in STRANGERS:
        if head.startswith(magic):
            return what
    if head.lstrip()[:1] == b"<":
        return "a web page, not weights: the download did not work"
    if head[:1] == b"\x80" and head[1:2] in b"\x02\x03\x04\x05":
        return "a bare pickle, which could run code when read and is refused"
    try:
        head[:500].decode()
    except UnicodeDecodeError as error:
        if error.start < 490:  # nearer the end it may be a character cut in two
            return "neither safetensors nor a torch file, or its beginning is damaged"
    return "a text file, not weights" if b"\0" not in head else "neither safetensors nor a torch file"


def read_safetensors(path: Path) -> tuple[Tensors, dict[str, str]]:
    """Tensors, mapped from disk and not yet read, and the header's metadata."""
    with path.open("rb") as start:
        length = int.from_bytes(start.read(8), "little")
    if MOST_HEADER < length <= path.stat().st_size:
        raise CheckpointError(f"{path.name} has a header of {length:,} bytes; {MOST_HEADER:,} are read at most")
    try:
        with safe_open(path, framework="pt") as file:
            names = file.keys()
            if len(names) > MOST_TENSORS:
                raise CheckpointError(f"{path.name} has {len(names):,} tensors; {MOST_TENSORS:,} are read at most")
            return {name: file.get_tensor(name) for name in names}, dict(file.metadata() or {})
    except (SafetensorError, OSError, ValueError, RuntimeError) as error:
        raise CheckpointError(f"{path.name} is a truncated or damaged safetensors file: {error}") from error


def write_safetensors(
    path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str], progress: Progress | None = None
) -> None:
    """Write beside the target and move into place, so that no reader sees half a file.

    The library's own writer orders the metadata by chance; here equal weights are equal bytes, and equal hashes.
    """
    header: dict[str, object] = {"__metadata__": dict(metadata)} if metadata else {}
    end = 0
    for name, tensor in tensors.items():
        start, end = end, end + tensor.numel() * tensor.element_size()
        header[name] = {"dtype": DTYPE_NAMES[tensor.dtype], "shape": [*tensor.shape], "data_offsets": [start, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)

    try:
        with replacing(path) as partial, partial.open("wb") as file:
            file.write(len(text).to_bytes(8, "little") + text)
            done = 0
            for tensor in tensors.values():
                flat = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
                done += file.write(flat.numpy().data)
                if progress is not None:
                    progress(done, end)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise CheckpointError(f"{path} cannot be written: {error.strerror}") from error


def read_json(path: Path, most: int = MOST_CONFIG) -> Any:
    """What a JSON file holds. CheckpointError where it is no regular file, too long, too deep, or no JSON."""
    try:
        return parse_json(read_text(path, most), most)
    except ValueError as error:
        raise CheckpointError(str(error) if "cannot be read" in str(error) else f"{path}: {error}") from error


def parse_json(text: str, most: int = MOST_CONFIG) -> Any:
    """The same of a text, bounded in length and depth. ValueError with one sentence."""
    if len(text) > most:
        raise ValueError(f"JSON of {len(text):,} characters; {most:,} are read at most")
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("JSON that is nested too deeply") from None


def sha256(path: Path) -> str:
    """Hash of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
