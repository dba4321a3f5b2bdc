"""What is asked and what is answered; a request is checked once, here, with one sentence per fault."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Self

from app.i18n import Sentence
from ldm_core.config import MAX_SEED as MAX_SEED
from ldm_core.text.prompt_syntax import MAX_WEIGHT, parse, weight_beyond


class RequestError(ValueError):
    """The request cannot be served. `sentence` says why in the page's languages, the error's own text in English."""

    def __init__(self, key: str, **values: Any) -> None:
        self.sentence = Sentence(key, values)
        super().__init__(str(self.sentence))


@dataclass(frozen=True)
class Limits:
    """What the loaded model and the operator allow."""

    max_steps: int = 1000
    max_batch: int = 8
    max_side: int = 1024
    max_pixels: int = 4_194_304  # batch × height × width
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
            raise RequestError("unknown_setting", names=", ".join(map(str, unknown)))
        if "prompt" not in values:
            raise RequestError("prompt_missing")
        return cls(**{name: _typed(name, value) for name, value in values.items()})


TEXTS = ("prompt", "negative_prompt", "sampler")
WHOLE = ("steps", "seed", "width", "height", "batch")


def _typed(name: str, value: Any) -> Any:
    if name in TEXTS:
        if not isinstance(value, str) or not _encodable(value):
            raise RequestError("must_be_text", field=Sentence(name))
        return value
    if value is None and name in ("width", "height"):
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise RequestError("must_be_number", field=Sentence(name))
    number = _as_float(value)
    if name in WHOLE:
        if not math.isfinite(number) or value != int(value):
            raise RequestError("must_be_whole", field=Sentence(name), value=number)
        return int(value)
    return number


def _encodable(text: str) -> bool:
    """Whether text is Unicode throughout: JSON can hold half of a surrogate pair, which no tokenizer takes."""
    return not any("\ud800" <= character <= "\udfff" for character in text)


def _as_float(value: float) -> float:
    """A number as a float; JSON's whole numbers have no limit, and one past floats is infinite."""
    try:
        return float(value)
    except OverflowError:
        return math.inf


def validate(request: GenerateRequest, limits: Limits) -> None:
    """Raise RequestError with one sentence about the first fault."""
    r = request
    if not r.prompt.strip():
        raise RequestError("prompt_empty")
    for name in ("prompt", "negative_prompt"):
        length = len(getattr(r, name))
        if length > limits.prompt_chars:
            raise RequestError("too_long", field=Sentence(name), length=length, most=limits.prompt_chars)
        if (beyond := weight_beyond(parse(getattr(r, name)))) is not None:
            raise RequestError("bad_weight", low=-MAX_WEIGHT, high=MAX_WEIGHT, value=f"{beyond:g}")
    if not all(map(math.isfinite, (r.eta, r.guidance_scale, r.strength))):
        raise RequestError("not_finite")
    _within("steps", r.steps, 1, limits.max_steps)
    _within("eta", r.eta, 0, 1)
    _within("guidance_scale", r.guidance_scale, -50, 50)
    _within("batch", r.batch, 1, limits.max_batch)
    _within("seed", r.seed, -1, MAX_SEED - r.batch + 1)  # picture k's own seed must be a seed too
    if not 0 < r.strength <= 1:
        raise RequestError("bad_strength", value=r.strength)
    if r.sampler not in limits.samplers:
        raise RequestError("no_sampler", name=repr(r.sampler), names=", ".join(limits.samplers))
    for name in ("width", "height"):
        side = getattr(r, name)
        if side is not None and (side % limits.size_multiple or not 0 < side <= limits.max_side):
            raise RequestError(
                "bad_side", field=Sentence(name), multiple=limits.size_multiple, most=limits.max_side, value=side
            )
    width, height = r.width or limits.image_size, r.height or limits.image_size
    if r.batch * width * height > limits.max_pixels:
        most = max(1, limits.max_pixels // (width * height))
        raise RequestError("too_many_pixels", batch=r.batch, width=width, height=height, most=most)


def _within(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise RequestError("out_of_range", field=Sentence(name), low=low, high=high, value=value)


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
