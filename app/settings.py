"""Command line and environment → one frozen Settings. No torch here: the page is up before torch is imported."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Self

DEFAULT_WEIGHTS = Path(__file__).parent.parent / "weights" / "emoji-128.safetensors"
PREFIX = "LATENT_LAB_"  # LATENT_LAB_PORT=8000 is --port 8000; the command line wins


@dataclass(frozen=True)
class Settings:
    """Everything an operator may set; a field's name is its option and, in capitals, its environment variable."""

    host: str = "127.0.0.1"
    port: int = 7860
    weights: Path = DEFAULT_WEIGHTS
    device: str = "auto"
    dtype: str = "auto"
    root_path: str = ""  # path prefix a reverse proxy adds
    output_dir: Path | None = None  # None: a temporary folder that goes with the process
    keep_pictures: int = 1000  # in a temporary output folder; older ones are deleted
    lang: str = "en"
    max_steps: int = 1000
    max_batch: int = 8
    max_side: int = 1024  # pixels
    max_prompt_chars: int = 2000
    queue_size: int = 32
    max_upload_bytes: int = 20_000_000
    max_upload_pixels: int = 50_000_000
    detach_seconds: float = 60.0  # how long a job outlives the page that asked for it

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65535:
            raise ValueError(f"port must lie in 0…65535, not {self.port}")
        if self.lang not in ("en", "zh"):
            raise ValueError(f"lang must be en or zh, not {self.lang!r}")
        counts = ("max_steps", "max_batch", "max_side", "max_prompt_chars", "queue_size", "keep_pictures")
        for name in (*counts, "max_upload_bytes", "max_upload_pixels"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")

    @classmethod
    def from_args(cls, argv: Sequence[str] | None, environ: Mapping[str, str]) -> Self:
        """Parse; the usual argparse message and exit status 2 where an option is unknown or of the wrong type."""
        parser = argparse.ArgumentParser(
            description="Latent Lab: text to image you can open up", argument_default=argparse.SUPPRESS
        )
        kinds = {"port": int, "weights": Path, "output_dir": Path, "detach_seconds": float}
        for f in fields(cls):
            kind = kinds.get(f.name) or (int if isinstance(f.default, int) else str)
            parser.add_argument(f"--{f.name.replace('_', '-')}", type=kind, help=f"default: {f.default}")
        named = {f.name: environ[PREFIX + f.name.upper()] for f in fields(cls) if PREFIX + f.name.upper() in environ}
        words = [w for name, value in named.items() for w in (f"--{name.replace('_', '-')}", value)]
        values = vars(parser.parse_args([*words, *(argv if argv is not None else sys.argv[1:])]))
        try:
            return cls(**values)
        except ValueError as error:
            parser.error(str(error))

    def outputs(self) -> Path:
        """The folder pictures go to, created."""
        folder = self.output_dir or Path(tempfile.mkdtemp(prefix="latent-lab-"))
        folder.mkdir(parents=True, exist_ok=True)
        return folder
