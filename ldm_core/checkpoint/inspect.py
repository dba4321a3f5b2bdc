"""What lies in a weights file, told from names, shapes and header."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from ldm_core.checkpoint.load import unread_dtypes
from ldm_core.checkpoint.relatives import relative_of
from ldm_core.checkpoint.source import read_source
from ldm_core.checkpoint.state_dict_check import Difference, compare, empty_model, expected_shapes
from ldm_core.config import ModelConfig, Parameterization
from ldm_core.files import printable

HEADER_LINES = 40  # of a stranger's header
PARTS = {"UNet": "model.", "first stage": "first_stage_model.", "text encoder": "cond_stage_model."}


@dataclass(frozen=True)
class Inspection:
    """parameters: part → number; dtypes: dtype → number of parameters stored so; difference: to the geometry."""

    path: Path
    layout: str
    container: str
    config: ModelConfig
    sha256: str
    bytes: int
    parameters: dict[str, int]
    dtypes: dict[str, int]
    notes: tuple[str, ...]
    difference: Difference
    relative: str | None
    unread_dtypes: tuple[str, ...]
    metadata: dict[str, str]

    @property
    def loads(self) -> bool:
        """Whether load_model would take it."""
        return not self.difference and not self.unread_dtypes

    def lines(self) -> Iterator[str]:
        """The same for people to read; what the file wrote itself cannot steer their terminal."""
        return (printable(line) for line in self._lines())

    def _lines(self) -> Iterator[str]:
        yield f"file        {self.path} ({self.bytes / 2**20:.1f} MiB)"
        yield f"layout      {self.layout}, {self.container}"
        yield f"sha256      {self.sha256}"
        if self.relative is None:
            yield from self._geometry()
        yield "parameters  " + ", ".join(f"{part} {n:,}" for part, n in self.parameters.items())
        yield "stored as   " + ", ".join(f"{dtype} {n:,}" for dtype, n in self.dtypes.items())
        for key, value in islice(self.metadata.items(), HEADER_LINES):
            yield f"header      {_shortened(key)}: {_shortened(value)}"
        if len(self.metadata) > HEADER_LINES:
            yield f"header      … and {len(self.metadata) - HEADER_LINES} more entries"
        for note in self.notes:
            yield f"note        {note}"
        yield f"fit         {self.fit}"

    def _geometry(self) -> Iterator[str]:
        unet, first, text = self.config.unet, self.config.first_stage, self.config.text
        yield f"geometry    {self.config.name}: {self.config.image_size} px, {self.config.parameterization}-prediction"
        yield f"  UNet      {unet.model_channels} × {unet.channel_mult} channels, {unet.num_heads} heads"
        yield f"  first st. {first.kind}, f={first.downsampling}, {first.embed_dim} latent channels"
        if text is not None:
            yield f"  text      {text.vocab} tokens, {text.text_len} positions, width {text.width}"

    @property
    def fit(self) -> str:
        """The word complete, or in a sentence's part why load_model would not take it."""
        if self.relative is not None:
            return self.relative
        if self.difference:
            return str(self.difference)
        return f"{', '.join(self.unread_dtypes)} is not read here" if self.unread_dtypes else "complete"


def _shortened(text: str, most: int = 80) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def inspect_file(
    path: str | Path, use_ema: bool = False, parameterization: Parameterization | None = None
) -> Inspection:
    """Look at a file or folder that load_model reads, without building the model with memory behind it.

    A wrong geometry is described; CheckpointError only where the file cannot be read at all.
    """
    source = read_source(path, use_ema, parameterization)
    difference = compare(source.tensors, expected_shapes(empty_model(source.config)))
    parameters: Counter[str] = Counter()
    dtypes: Counter[str] = Counter()
    for name, tensor in source.tensors.items():
        part = next((part for part, prefix in PARTS.items() if name.startswith(prefix)), "other")
        parameters[part] += tensor.numel()
        dtypes[str(tensor.dtype).removeprefix("torch.")] += tensor.numel()
    return Inspection(
        path=source.path,
        layout=source.layout,
        container=source.container,
        config=source.config,
        sha256=source.sha256(),
        bytes=sum(file.stat().st_size for file in source.files),
        parameters=dict(parameters),
        dtypes=dict(dtypes),
        notes=source.notes,
        difference=difference,
        relative=relative_of({name: tuple(t.shape) for name, t in source.tensors.items()}, difference.unexpected)
        if difference
        else None,
        unread_dtypes=tuple(unread_dtypes(source.tensors)),
        metadata={key: value for key, value in source.metadata.items() if key != "config"},
    )
