"""What a run is made from besides its settings."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ldm_core.shipped import weights_name

CORPUS = Path("~/.cache/latent-lab/corpus")
LATENTS = Path("~/.cache/latent-lab/latents")


@dataclass(frozen=True)
class Inputs:
    """Files and runs that a task begins with; None where its part needs none."""

    corpus: Path = CORPUS
    init: Path | None = None  # weights file whose part training goes on from
    autoencoder: str | None = None  # run name or weights file of the frozen autoencoder (diffusion runs)
    text: str | None = None  # likewise of the text encoder
    latents: Path | None = None
    scenes: Path | None = None  # chunks of composed scenes, instead of single drawings

    @property
    def latents_dir(self) -> Path:
        """Where the autoencoder's latents are cached."""
        return (self.latents or LATENTS / weights_name(Path(self.autoencoder or ""))).expanduser()
