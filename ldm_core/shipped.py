"""Where the weights and vocabularies that come with the code lie: beside it in a checkout, in a wheel as a package."""

from __future__ import annotations

from pathlib import Path

_CHECKOUT = Path(__file__).resolve().parents[1] / "weights"
WEIGHTS = _CHECKOUT if _CHECKOUT.is_dir() else _CHECKOUT.with_name("latent_lab_weights")
EMOJI_128 = WEIGHTS / "emoji-128.safetensors"
CLIP_TOKENIZER = WEIGHTS / "clip-tokenizer"  # SD v1's vocabulary


def weights_name(path: Path) -> str:
    """A file's name without its ending; a folder's or a run's name, in which a dot ends nothing."""
    return path.stem if path.expanduser().is_file() else path.name
