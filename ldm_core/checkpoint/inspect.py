"""What lies in a weights file, told from names, shapes and header."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ldm_core.checkpoint.source import read_source
from ldm_core.checkpoint.state_dict_check import Difference, compare, empty_model, expected_shapes, relative_of
from ldm_core.config import ModelConfig

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
    metadata: dict[str, str]

    @property
    def loads(self) -> bool:
        """Whether load_model would take it."""
        return not self.difference

    def lines(self) -> Iterator[str]:
        """The same for people to read."""
        unet, first, text = self.config.unet, self.config.first_stage, self.config.text
        yield f"file        {self.path} ({self.bytes / 2**20:.1f} MiB)"
        yield f"layout      {self.layout}, {self.container}"
        yield f"sha256      {self.sha256}"
        yield f"geometry    {self.config.name}: {self.config.image_size} px, {self.config.parameterization}-prediction"
        yield f"  UNet      {unet.model_channels} × {unet.channel_mult} channels, {unet.num_heads} heads"
        yield f"  first st. {first.kind}, f={first.downsampling}, {first.embed_dim} latent channels"
        if text is not None:
            yield f"  text      {text.vocab} tokens, {text.text_len} positions, width {text.width}"
        yield "parameters  " + ", ".join(f"{part} {n:,}" for part, n in self.parameters.items())
        yield "stored as   " + ", ".join(f"{dtype} {n:,}" for dtype, n in self.dtypes.items())
        for key, value in self.metadata.items():
            yield f"header      {key}: {value if len(value) <= 80 else value[:79] + '…'}"
        for note in self.notes:
            yield f"note        {note}"
        yield f"fit         {'complete' if self.loads else self.relative or self.difference}"


def inspect_file(path: str | Path) -> Inspection:
    """Look at a file or folder that load_model reads, without building the model with memory behind it.

    A wrong geometry is described; CheckpointError only where the file cannot be read at all.
    """
    source = read_source(path)
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
        relative=relative_of(difference.unexpected),
        metadata={key: value for key, value in source.metadata.items() if key != "config"},
    )
