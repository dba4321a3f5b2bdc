"""Torch zip pickles (.ckpt) without running them: torch's restricted unpickler plus inert stand-ins."""

from __future__ import annotations

import pickle
import pickletools
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch.serialization import safe_globals

from ldm_core.checkpoint.errors import CheckpointError, one_line

# What Lightning wrote beside the weights of published files: callback classes as dictionary keys, the best score
# as a numpy scalar. None of it is needed, so every name becomes a class that does nothing.
INERT_GLOBALS = (
    "pytorch_lightning.callbacks.model_checkpoint.ModelCheckpoint",
    "pytorch_lightning.callbacks.early_stopping.EarlyStopping",
    "pytorch_lightning.callbacks.lr_monitor.LearningRateMonitor",
    "pytorch_lightning.callbacks.progress.ProgressBar",
    "pytorch_lightning.utilities.parsing.AttributeDict",
    "main.SetupCallback",
    "main.ImageLogger",
    "main.CUDACallback",
    "torch.nn.modules.container.ParameterDict",  # of a textual inversion embedding, which is then named
    "numpy.core.multiarray.scalar",
    "numpy._core.multiarray.scalar",
    "numpy.dtype",
)

# SD v1 with its averages and an optimiser takes 200,000 steps; each costs about a microsecond twice
MOST_OPS = 1_000_000
MOST_BYTES = 32_000_000  # of the pickle beside the tensors
MOST_LEAVES = 10_000  # of a tuple, all levels counted

ALLOCATING = ("builtins bytearray", "__builtin__ bytearray")  # torch allows it: one number, any amount of memory
TUPLES = ("TUPLE", "TUPLE1", "TUPLE2", "TUPLE3")


class Inert:
    """Accepts what a pickle would give to a callback, and forgets it."""

    def __init__(self, *_args: object, **_kwargs: object) -> None: ...

    def __setstate__(self, _state: object) -> None: ...


def read_pickle(path: Path) -> dict[str, Any]:
    """The dictionary in a torch zip archive, tensors mapped from disk. CheckpointError where it would need code."""
    _check_archive(path)
    stubs: list[Any] = [(type(name.rpartition(".")[2], (Inert,), {}), name) for name in INERT_GLOBALS]
    try:
        with safe_globals(stubs), _by_another_suffix(path) as named:
            # mapped, so that no tensor reaches past the end of its file
            content = torch.load(named, map_location="cpu", weights_only=True, mmap=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{path.name} is a pickle that wants to run code or holds more than tensors, and no option here runs it: "
            "get the .safetensors file of the same model"
        ) from error
    except (RuntimeError, EOFError, OSError, ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise CheckpointError(f"{path.name} is a damaged torch file: {one_line(error)}") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{path.name} holds a {type(content).__name__}, not a dictionary of weights")
    return content


@contextmanager
def _by_another_suffix(path: Path) -> Iterator[Path]:
    """Torch takes every path that ends in .safetensors for such a file, whatever it holds."""
    if path.suffix.lower() != ".safetensors":
        yield path
        return
    with TemporaryDirectory() as folder:
        link = Path(folder) / "weights.pt"
        link.symlink_to(path.resolve())
        yield link


def _check_archive(path: Path) -> None:
    """Torch stores its tensors uncompressed, side by side; anything else is another zip, or a bomb."""
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            pickled = [entry for entry in entries if entry.filename.endswith("/data.pkl")]
    except (zipfile.BadZipFile, ValueError, OSError) as error:
        raise CheckpointError(f"{path.name} is a truncated or damaged zip archive") from error
    if not pickled:
        raise CheckpointError(f"{path.name} is a zip archive, but not one of weights that torch wrote")
    packed = any(entry.compress_type != zipfile.ZIP_STORED for entry in entries)
    if packed or sum(entry.file_size for entry in entries) > path.stat().st_size:
        raise CheckpointError(f"{path.name} unpacks to more than its size, which no weights file does")
    with zipfile.ZipFile(path) as archive:
        for entry in pickled:
            if entry.file_size > MOST_BYTES:
                raise CheckpointError(f"{path.name} has a pickle of {entry.file_size:,} bytes beside its tensors")
            try:
                _check_ops(path.name, archive.read(entry))
            except (ValueError, IndexError, KeyError, OSError, zipfile.BadZipFile) as error:
                if isinstance(error, CheckpointError):
                    raise
                raise CheckpointError(f"{path.name} is a damaged torch file: {one_line(error)}") from error


def _check_ops(name: str, content: bytes) -> None:
    """Refuse a pickle that would take long: too many steps, or a tuple that contains itself many times over.

    A dictionary hashes its keys, and the hash of t = (t, t), forty levels deep, visits 2⁴⁰ leaves; a million levels of
    (t,) overflow the stack. So the stack is replayed here with the number of leaves of every tuple in place of values.
    """
    stack: list[int] = []
    marks: list[int] = []
    memo: dict[int, int] = {}
    for count, (op, argument, _) in enumerate(pickletools.genops(content)):
        if count >= MOST_OPS:
            raise CheckpointError(f"{name} has a pickle of more than {MOST_OPS:,} steps, which no weights file has")
        if op.name == "GLOBAL" and argument in ALLOCATING:
            raise CheckpointError(f"{name} is a pickle that asks for memory ({argument}), which no weights file does")
        if op.name == "MARK":
            marks.append(len(stack))
        elif op.name == "MEMOIZE" or op.name.endswith("PUT"):
            memo[len(memo) if argument is None else int(argument)] = stack[-1]
        elif op.name.endswith("GET"):
            stack.append(memo[int(argument or 0)])
        else:
            _replay(op, stack, marks)
        if stack and stack[-1] > MOST_LEAVES:
            raise CheckpointError(f"{name} has a pickle with a tuple nested without end, which no weights file has")


def _replay(op: pickletools.OpcodeInfo, stack: list[int], marks: list[int]) -> None:
    """One step of the pickle machine on numbers of leaves."""
    taken = op.stack_before
    if pickletools.markobject in taken:
        mark = marks.pop()
        items = stack[mark:]
        del stack[mark:]
        fixed = taken.index(pickletools.markobject)  # what lies below the mark
    else:
        fixed = len(taken)
        items = stack[len(stack) - fixed :]
    if fixed:
        if len(stack) < fixed:
            raise ValueError("a step without its operands")
        del stack[len(stack) - fixed :]
    leaves = 1 + sum(items) if op.name in TUPLES else 1
    stack.extend([leaves] * len(op.stack_after))
