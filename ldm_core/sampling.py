"""`SamplingParams`: the one description of a generation, with its defaults and bounds. Needs no torch."""

from __future__ import annotations

import math
import numbers
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Self, get_args

from ldm_core.config import MAX_SEED, ModelConfig, TimestepSpacing
from ldm_core.text.prompt_syntax import MAX_WEIGHT, parse, weight_beyond

DEFAULT_SEED = 7  # what the library takes where no seed is given: the same call makes the same picture
SAMPLER_NAMES = ("ddim", "ddpm", "plms", "euler", "euler_a", "heun", "dpmpp_2m", "dpmpp_2m_sde", "unipc")
ETA_SAMPLERS = ("ddim",)  # the others ignore eta

# What the library says; the page has its own words, in each of its languages, under the same keys.
MESSAGES = {
    "must_be_text": "{field} must be text",
    "must_be_number": "{field} must be a number",
    "must_be_whole": "{field} must be a whole number, not {value}",
    "not_finite": "{field} must be a finite number, not {value}",
    "out_of_range": "{field} must lie in {low}…{high}, not {value}",
    "at_least": "{field} must be at least {low}, not {value}",
    "bad_strength": "strength must lie above 0 and up to 1, not {value}",
    "bad_interval": "guidance_interval must be two numbers, rising within 0…1, not {value}",
    "bad_spacing": "timestep_spacing must be one of {names}, not {name}",
    "bad_weight": "a prompt weight must lie in {low}…{high}, not {value}",
    "no_sampler": "sampler must be one of {names}, not {name}",
    "prompt_missing": "a prompt is needed",
    "prompt_empty": "the prompt is empty",
    "too_long": "{field} is {length} characters long; at most {most} are allowed",
    "bad_side": "{field} must be a multiple of {multiple} up to {most}, not {value}",
    "too_many_pixels": "{batch} of {width}×{height} are too many pixels; at most {most} of this size",
    "unknown_setting": "unknown settings: {names}",
}

TEXTS = ("prompt", "negative_prompt", "sampler", "timestep_spacing")
WHOLE = ("steps", "seed", "batch", "height", "width", "label", "variation_seed")
BOUNDS: dict[str, tuple[float, float]] = {
    "steps": (1, math.inf),  # the model's own number of timesteps bounds it further
    "eta": (0, 1),
    "guidance_scale": (-50, 50),
    "seed": (0, MAX_SEED),
    "batch": (1, math.inf),
    "height": (1, math.inf),
    "width": (1, math.inf),
    "strength": (0, 1),
    "label": (0, math.inf),
    "variation_seed": (0, MAX_SEED),
    "variation_strength": (0, 1),
}
RENAMED = {"grid": "timestep_spacing"}  # names of 0.1.0


class ParameterError(ValueError):
    """A setting that cannot be. `key` names the sentence, `field` the setting, `values` fill the sentence's blanks."""

    def __init__(self, key: str, field: str = "", **values: Any) -> None:
        self.key, self.field, self.values = key, field, values
        super().__init__(MESSAGES[key].format(field=field, **values))


@dataclass(frozen=True)
class Limits:
    """What the loaded model and the operator allow, beyond the bounds that hold everywhere."""

    max_steps: int = 1000
    max_batch: int = 8
    max_side: int = 1024  # pixels
    max_pixels: int = 4_194_304  # batch × height × width
    size_multiple: int = 32
    image_size: int = 128  # the size the model was trained at, which an open height or width stands for
    samplers: tuple[str, ...] = SAMPLER_NAMES
    prompt_chars: int = 2000
    guidance_scale: float = ModelConfig.default_guidance  # the model's own, which an open one stands for
    needs_prompt: bool = True  # False: an empty prompt is a prompt too

    @classmethod
    def unbounded(cls, config: ModelConfig) -> Self:
        """A model's own limits where no operator sets any; batch and size end where memory does."""
        return cls(
            max_steps=config.schedule.timesteps,
            max_batch=2**16,
            max_side=2**16,
            max_pixels=2**40,
            size_multiple=config.size_multiple,
            image_size=config.image_size,
            guidance_scale=config.default_guidance,
            prompt_chars=2**20,
            needs_prompt=False,
        )

    def within(self, config: ModelConfig) -> Self:
        """These within what a model can do: no more steps than it was trained on, its sizes, its guidance."""
        return replace(
            self,
            max_steps=min(self.max_steps, config.schedule.timesteps),
            size_multiple=config.size_multiple,
            image_size=config.image_size,
            guidance_scale=config.default_guidance,
            needs_prompt=self.needs_prompt and config.text is not None,
        )


@dataclass(frozen=True)
class SamplingParams:
    """What a person asks for: `batch` pictures, of which picture k is `image(k)` alone.

    Wrong types and values out of bounds raise ParameterError. Whole numbers may come as floats (25.0), as browsers
    and JSON send them.
    """

    prompt: str
    negative_prompt: str = ""
    steps: int = 25
    eta: float = 0.0  # share of DDIM's noise: 0 deterministic, 1 as ancestral sampling
    guidance_scale: float | None = None  # None: the model's own, ModelConfig.default_guidance
    sampler: str = "ddim"
    seed: int | None = None  # None: drawn by the service, DEFAULT_SEED in the library
    batch: int = 1
    height: int | None = None  # pixels; None: the size the model was trained at
    width: int | None = None
    strength: float = 0.75  # how much of a starting picture is noised away
    timestep_spacing: TimestepSpacing = "uniform"
    label: int | None = None  # the class a class-conditional model draws
    variation_seed: int | None = None
    variation_strength: float = 0.0  # how far x_T goes from the seed's noise to the variation seed's (slerp)
    guidance_interval: tuple[float, float] | None = None  # of t/T: guidance acts within; None: at every step

    def __post_init__(self) -> None:
        for f in fields(self):
            object.__setattr__(self, f.name, _typed(f.name, getattr(self, f.name), optional=f.default is None))
        if self.strength == 0:
            raise ParameterError("bad_strength", "strength", value=self.strength)
        if self.timestep_spacing not in (names := get_args(TimestepSpacing)):
            raise ParameterError(
                "bad_spacing", "timestep_spacing", name=repr(self.timestep_spacing), names=", ".join(names)
            )
        if self.variation_strength and self.variation_seed is None:
            raise ParameterError("must_be_number", "variation_seed")
        _within("batch", self.batch, 1, MAX_SEED)
        counted = "variation_seed" if self.variation_strength else "seed"  # the last picture's must be a seed too
        _within(counted, getattr(self, counted) or 0, 0, MAX_SEED - self.batch + 1)
        for name in ("prompt", "negative_prompt"):
            if (beyond := weight_beyond(parse(getattr(self, name)))) is not None:
                raise ParameterError("bad_weight", name, low=-MAX_WEIGHT, high=MAX_WEIGHT, value=f"{beyond:g}")

    def check(self, limits: Limits) -> None:
        """Raise ParameterError for the first setting that this model, or its operator, does not allow."""
        if limits.needs_prompt and not self.prompt.strip():
            raise ParameterError("prompt_empty", "prompt")
        for name in ("prompt", "negative_prompt"):
            if (length := len(getattr(self, name))) > limits.prompt_chars:
                raise ParameterError("too_long", name, length=length, most=limits.prompt_chars)
        _within("steps", self.steps, 1, limits.max_steps)
        _within("batch", self.batch, 1, limits.max_batch)
        if self.sampler not in limits.samplers:
            raise ParameterError("no_sampler", "sampler", name=repr(self.sampler), names=", ".join(limits.samplers))
        for name in ("width", "height"):
            side = getattr(self, name)
            if side is not None and (side % limits.size_multiple or side > limits.max_side):
                raise ParameterError("bad_side", name, multiple=limits.size_multiple, most=limits.max_side, value=side)
        width, height = self.width or limits.image_size, self.height or limits.image_size
        if self.batch * width * height > limits.max_pixels:
            most = max(1, limits.max_pixels // (width * height))
            raise ParameterError("too_many_pixels", "batch", batch=self.batch, width=width, height=height, most=most)

    def resolved(self, seed: int, guidance_scale: float) -> Self:
        """The same with this seed and scale where it has none; its size may still be None."""
        return replace(
            self,
            seed=seed if self.seed is None else self.seed,
            guidance_scale=guidance_scale if self.guidance_scale is None else self.guidance_scale,
        )

    def image(self, k: int) -> Self:
        """Picture k of the batch as a request of its own: seed + k, or with a variation, its seed + k."""
        if self.variation_seed is not None and self.variation_strength:
            return replace(self, batch=1, variation_seed=self.variation_seed + k)
        return replace(self, batch=1, seed=(DEFAULT_SEED if self.seed is None else self.seed) + k)

    @classmethod
    def of(cls, request: object, **settings: Any) -> Self:
        """A prompt with settings, or a request with some of its own changed. Raises ParameterError."""
        known = {f.name for f in fields(cls)} - (set() if isinstance(request, cls) else {"prompt"})
        if unknown := sorted(set(settings) - known):
            raise ParameterError("unknown_setting", names=", ".join(unknown))
        return replace(request, **settings) if isinstance(request, cls) else cls(request, **settings)  # type: ignore[arg-type]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        interval = self.guidance_interval
        return {**asdict(self), "guidance_interval": None if interval is None else list(interval)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The inverse of to_dict; reads what 0.1.0 wrote, where seed −1 was one to be drawn. Raises ParameterError."""
        named = {RENAMED.get(name, name): value for name, value in values.items()}
        if unknown := sorted(set(named) - {f.name for f in fields(cls)}, key=str):
            raise ParameterError("unknown_setting", names=", ".join(map(str, unknown)))
        if "prompt" not in named:
            raise ParameterError("prompt_missing", "prompt")
        if named.get("seed") == -1:
            named["seed"] = None
        return cls(**named)


def _typed(name: str, value: Any, optional: bool) -> Any:
    """The value as the field's own type, within its bounds."""
    if name in TEXTS:
        if not isinstance(value, str) or not is_unicode(value):
            raise ParameterError("must_be_text", name)
        return value
    if value is None and optional:
        return None
    if name == "guidance_interval":
        return _interval(value)
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise ParameterError("must_be_number", name)
    number = _as_float(value)
    if name in WHOLE and not number.is_integer():
        raise ParameterError("must_be_whole", name, value=number)
    if not math.isfinite(number):
        raise ParameterError("not_finite", name, value=number)
    typed = int(number) if name in WHOLE else number
    _within(name, typed, *BOUNDS[name])
    return typed


def _interval(value: Any) -> tuple[float, float]:
    pair = list(value) if isinstance(value, (list, tuple)) else []
    if len(pair) != 2 or not all(isinstance(v, numbers.Real) and not isinstance(v, bool) for v in pair):
        raise ParameterError("bad_interval", "guidance_interval", value=repr(value)[:40])
    low, high = map(_as_float, pair)
    if not 0 <= low < high <= 1:
        raise ParameterError("bad_interval", "guidance_interval", value=repr(value)[:40])
    return low, high


def _within(name: str, value: float, low: float, high: float) -> None:
    if not value >= low and high == math.inf:
        raise ParameterError("at_least", name, low=low, value=value)
    if not low <= value <= high:
        raise ParameterError("out_of_range", name, low=low, high=high, value=value)


def is_unicode(text: str) -> bool:
    """Whether text is Unicode throughout: JSON can hold half of a surrogate pair, which no tokenizer takes."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _as_float(value: Any) -> float:
    """A number as a float; JSON's whole numbers have no limit, and one past floats is infinite."""
    try:
        return float(value)
    except OverflowError:
        return math.inf
