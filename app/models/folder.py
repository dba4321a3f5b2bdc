"""The models that may be asked for: the page's own, and a folder of weights files, known by content."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.logs import reason
from app.schemas import RequestError
from ldm_core.sampling import Limits
from ldm_core.shipped import weights_name
from ldm_core.text.knowledge import Knowledge

if TYPE_CHECKING:
    from ldm_core.text.tokenizer import Tokenizer

log = logging.getLogger(__name__)
SUFFIXES = (".safetensors", ".ckpt", ".pt", ".pth", ".bin")
HASH = 10  # digits of a sha256 by which other programs name a model
BILLION = 10**9


@dataclass(frozen=True, eq=False)
class ModelFile:
    """A weights file or diffusers folder; `bytes` of memory while loaded; `fault` says why it cannot be used."""

    name: str
    path: Path
    sha256: str = ""
    bytes: int = 0
    limits: Limits = field(default_factory=Limits)
    fault: str = ""
    vocabulary: tuple[Path, int] | None = None  # folder of the tokenizer, tokens of a prompt

    @property
    def title(self) -> str:
        """The name as A1111's clients show it."""
        return f"{self.name} [{self.sha256[:HASH]}]" if self.sha256 else self.name

    @property
    def names(self) -> tuple[str, ...]:
        """What a request may call it."""
        return self.name, self.title, self.path.name, self.sha256, self.sha256[:HASH]

    @cached_property
    def knowledge(self) -> Knowledge | None:
        """What it knows, from the file beside it; None for an open vocabulary."""
        return Knowledge.beside(self.path)

    @cached_property
    def tokenizer(self) -> Tokenizer | None:
        """Its tokenizer, which needs no weights; None where it follows no prompt."""
        from ldm_core.text.tokenizer import Tokenizer

        return Tokenizer.load(*self.vocabulary) if self.vocabulary is not None else None


class NotReady(RequestError):
    """The model is not loaded or not looked at yet, or could not be."""


class ModelFolder:
    """The page's own model and those of a folder. Read in any thread; `scan` in one."""

    def __init__(self, own: Path, limits: Limits, scanned: bool = True) -> None:
        """`limits` of the page's own until it is loaded: the operator's. `scanned`: there is no folder to look at."""
        self.own = ModelFile(weights_name(own), own, limits=limits)
        self.scanned = scanned  # whether every model there is has been found
        self._others: list[ModelFile] = []

    def __iter__(self) -> Any:
        return iter([self.own, *self._others])

    @property
    def usable(self) -> list[ModelFile]:
        """Those that pictures can be made with."""
        return [file for file in self if not file.fault]

    def find(self, name: str) -> ModelFile:
        """By name, title, file name, sha256 or its first digits; "" is the page's own. RequestError where none is,
        NotReady while it may yet be found.
        """
        scanned = self.scanned  # before looking
        found = next((file for file in self if name in file.names or name == ""), None)
        if found is None and not scanned:
            raise NotReady("still_loading")
        if found is None:
            raise RequestError("no_model", name=repr(name[:100]))
        if found.fault:
            raise RequestError("model_broken", name=found.name, reason=found.fault)
        return found

    def scan(self, folder: Path, read: Callable[[Path], ModelFile]) -> None:
        """Look at what lies in `folder`, file by file; content that is there already is not listed again."""
        try:
            self._scan(folder, read)
        finally:
            self.scanned = True

    def _scan(self, folder: Path, read: Callable[[Path], ModelFile]) -> None:
        for path in sorted(folder.iterdir()):
            if path.name.startswith(".") or not looks_like_weights(path):
                continue
            file = read(path)
            if file.sha256 and any(file.sha256 == known.sha256 for known in self):
                log.info("%s is a copy of a model that is there already", path.name)
                continue
            for name in (path.name, file.title if file.sha256 else f"{path.name} [unusable]"):  # a name means one model
                if any(file.name in known.names for known in self):
                    file = replace(file, name=name)
            if file.fault:
                log.warning("%s cannot be used: %s", path.name, file.fault)
            self._others = [*self._others, file]


def looks_like_weights(path: Path) -> bool:
    """Whether a file is or was meant to be a model: knowledge, licences and notes lie beside them."""
    from ldm_core.checkpoint import CheckpointError
    from ldm_core.checkpoint.files import container_format

    if path.is_dir():
        return (path / "model_index.json").is_file()
    try:
        return bool(container_format(path))
    except CheckpointError:
        return path.suffix.lower() in SUFFIXES  # it is listed, and why it cannot be used


def without_folder(said: str, path: Path) -> str:
    """What is said of a file, to clients too: where it lies is the operator's affair, and in the log."""
    return said.replace(f"{path.parent}{os.sep}", "")


def read_file(path: Path, operator: Limits, most: int, itemsize: float) -> ModelFile:
    """What lies at `path`, not loaded; `most` bytes of memory are there for it, `itemsize` of them a parameter."""
    from ldm_core.checkpoint import CheckpointError, inspect_file, require_tokenizer

    name = weights_name(path)
    try:
        seen = inspect_file(path)
        if not seen.loads:
            return ModelFile(name, path, seen.sha256, fault=seen.fit)
        config, text = seen.config, seen.config.text
        vocabulary = (require_tokenizer(path, config), text.text_len) if text is not None else None
    except CheckpointError as error:
        return ModelFile(name, path, fault=without_folder(str(error), path))
    except OSError as error:
        return ModelFile(name, path, fault=reason(error))
    size = int(sum(seen.parameters.values()) * itemsize)
    fault = ""
    if operator.max_side < config.image_size:
        fault = f"it makes pictures of {config.image_size} pixels, and --max-side is {operator.max_side}"
    elif size > most:
        fault = f"it needs {size / BILLION:.2g} GB of memory, and --model-bytes leaves {most / BILLION:.2g}"
    return ModelFile(name, path, seen.sha256, size, operator.within(config), fault, vocabulary)
