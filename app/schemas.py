"""What is asked and what is answered; a request is checked once, here, with one sentence per fault."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Self

MAX_SEED = 2**32 - 1


class RequestError(ValueError):
    """The request cannot be served; its text is one sentence for the person who made it."""


@dataclass(frozen=True)
class Limits:
    """What the loaded model and the operator allow."""

    max_steps: int = 1000
    max_batch: int = 8
    max_side: int = 1024
    size_multiple: int = 32
    image_size: int = 128
    samplers: tuple[str, ...] = ("ddim", "ddpm")
    prompt_chars: int = 2000


@dataclass(frozen=True)
class GenerateRequest:
    """One request for `batch` pictures; picture k is the picture of seed + k. seed −1 is drawn when submitted."""

    prompt: str
    negative_prompt: str = ""
    steps: int = 25
    eta: float = 0.0
    guidance_scale: float = 5.0
    sampler: str = "ddim"
    seed: int = -1
    width: int | None = None  # None: the size the model was trained at
    height: int | None = None
    batch: int = 1
    strength: float = 0.75  # how much of a starting picture is noised away

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The inverse of to_dict. Unknown names, a missing prompt or wrong types raise RequestError."""
        if unknown := sorted(set(values) - {f.name for f in fields(cls)}):
            raise RequestError(f"Unknown setting: {', '.join(map(str, unknown))}.")
        if "prompt" not in values:
            raise RequestError("The prompt is missing.")
        return cls(**{name: _typed(name, value) for name, value in values.items()})


TEXTS = ("prompt", "negative_prompt", "sampler")
WHOLE = ("steps", "seed", "width", "height", "batch")


def _typed(name: str, value: Any) -> Any:
    if name in TEXTS:
        if not isinstance(value, str):
            raise RequestError(f"{_label(name)} must be text.")
        return value
    if value is None and name in ("width", "height"):
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise RequestError(f"{_label(name)} must be a number.")
    if name in WHOLE:
        if not math.isfinite(value) or value != int(value):
            raise RequestError(f"{_label(name)} must be a whole number, not {value}.")
        return int(value)
    return float(value)


def _label(name: str) -> str:
    return name.replace("_", " ").capitalize()


def validate(request: GenerateRequest, limits: Limits) -> None:
    """Raise RequestError with one sentence about the first fault."""
    r = request
    if not r.prompt.strip():
        raise RequestError("Please type a prompt: a few words that say what to draw.")
    for name in ("prompt", "negative_prompt"):
        length = len(getattr(r, name))
        if length > limits.prompt_chars:
            raise RequestError(
                f"{_label(name)} is {length} characters long; at most {limits.prompt_chars} are allowed."
            )
    if not all(map(math.isfinite, (r.eta, r.guidance_scale, r.strength))):
        raise RequestError("Eta, guidance scale and strength must be ordinary numbers, not NaN or infinity.")
    _within("Steps", r.steps, 1, limits.max_steps)
    _within("Eta", r.eta, 0, 1)
    _within("Guidance scale", r.guidance_scale, -50, 50)
    _within("Images", r.batch, 1, limits.max_batch)
    _within("Seed", r.seed, -1, MAX_SEED - r.batch + 1)  # picture k's own seed must be a seed too
    if not 0 < r.strength <= 1:
        raise RequestError(f"Strength must lie above 0 and up to 1, not {r.strength}.")
    if r.sampler not in limits.samplers:
        raise RequestError(f"There is no sampler {r.sampler!r}; choose one of {', '.join(limits.samplers)}.")
    for name in ("width", "height"):
        side = getattr(r, name)
        if side is not None and (side % limits.size_multiple or not 0 < side <= limits.max_side):
            raise RequestError(
                f"{_label(name)} must be a multiple of {limits.size_multiple} from {limits.size_multiple} "
                f"to {limits.max_side} pixels, not {side}."
            )


def _within(label: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise RequestError(f"{label} must lie between {low} and {high}, not {value}.")


@dataclass(frozen=True)
class GeneratedImage:
    """One PNG on disk."""

    path: Path
    seed: int
    width: int
    height: int


@dataclass(frozen=True)
class GenerateResult:
    """What a finished job leaves; the request's seed is the resolved one."""

    request: GenerateRequest
    images: tuple[GeneratedImage, ...]
    seconds: float
    steps_done: int
