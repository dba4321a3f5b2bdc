"""What a run is made of, as frozen values; read from a TOML file, with `key=value` overrides on top."""

from __future__ import annotations

import json
import math
import os
import re
import tempfile
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, is_dataclass
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Protocol, TypeVar, Union, get_args, get_origin, get_type_hints

from ldm_core.config import build_config
from ldm_core.files import read_text

LearningRate = Literal["trapezoid", "cosine", "constant"]
S = TypeVar("S")


def require_positive(settings: object, *names: str) -> None:
    """ValueError where one of these counts is below 1."""
    for name in names:
        if getattr(settings, name) < 1:
            raise ValueError(f"{name} must be at least 1, not {getattr(settings, name)}")


@dataclass(frozen=True)
class LoopSettings:
    """What every training loop shares. A run ends at `max_steps` or after `minutes`, whichever comes first."""

    batch: int = 16
    seed: int = 0
    max_steps: int | None = None
    minutes: float | None = None  # of training time, summed over restarts
    lr: float = 1e-4
    schedule: LearningRate = "trapezoid"
    warmup: int = 200  # steps
    cooldown: float = 0.25  # last share of the budget, trapezoid only
    clip: float = 1.0  # global gradient norm; 0 is off
    ema_decay: float = 0.999
    log_every: int = 20  # steps
    save_minutes: float = 5.0
    validate_minutes: float = 5.0
    sample_minutes: float = 10.0

    def __post_init__(self) -> None:
        for name in ("batch", "lr", "log_every", "save_minutes", "validate_minutes", "sample_minutes"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be above 0, not {getattr(self, name)}")
        for name in ("max_steps", "minutes"):
            if (value := getattr(self, name)) is not None and not value > 0:
                raise ValueError(f"{name} must be above 0, not {value}")
        if self.warmup < 0 or not self.clip >= 0:
            raise ValueError(f"warmup {self.warmup} and clip {self.clip} must be at least 0")
        if not 0 <= self.cooldown <= 1:
            raise ValueError(f"cooldown must lie in [0, 1], not {self.cooldown}")
        if not 0 <= self.ema_decay < 1:
            raise ValueError(f"ema_decay must lie in [0, 1), not {self.ema_decay}")
        if self.schedule not in ("trapezoid", "cosine", "constant"):
            raise ValueError(f"schedule must be trapezoid, cosine or constant, not {self.schedule!r}")

    def progress(self, step: int, seconds: float) -> float:
        """Share of the budget that is used up, 0…1; 0 where the run has no end."""
        by_steps = step / self.max_steps if self.max_steps else 0.0
        by_time = seconds / (60 * self.minutes) if self.minutes else 0.0
        return min(1.0, max(by_steps, by_time))

    def lr_factor(self, step: int, seconds: float) -> float:
        """The learning rate at a step, as a share of `lr`: a pure function, so resuming needs no state."""
        warm = min(1.0, (step + 1) / self.warmup) if self.warmup else 1.0
        progress = self.progress(step, seconds)
        if self.schedule == "cosine":
            return warm * 0.5 * (1 + math.cos(math.pi * progress))
        if self.schedule == "trapezoid" and self.cooldown > 0:
            return warm * min(1.0, (1 - progress) / self.cooldown)
        return warm


class RunSettings(Protocol):
    """Settings of a task's run: a frozen dataclass whose section `loop` is the training loop's."""

    @property
    def loop(self) -> LoopSettings:
        """What every training loop shares."""


def runs_dir() -> Path:
    """Where runs live: $LATENT_LAB_RUNS, outside the tree; of a user without a home in the temporary folder."""
    try:
        return Path(os.environ.get("LATENT_LAB_RUNS", "~/.cache/latent-lab/runs")).expanduser()
    except RuntimeError:
        return Path(tempfile.gettempdir()) / f"latent-lab-runs-{os.getuid()}"


def load_settings(cls: type[S], path: Path | None, overrides: Sequence[str] = ()) -> S:
    """TOML file → settings; `section.key=value` overrides it. Unknown names and bad values raise ValueError."""
    values = _read_toml(path) if path else {}
    for item in overrides:
        key, sign, text = item.partition("=")
        if not sign:
            raise ValueError(f"an override reads section.key=value, not {item!r}")
        *sections, name = key.strip().split(".")
        where = values
        for section in sections:
            where = where.setdefault(section, {})
            if not isinstance(where, dict):
                raise ValueError(f"{item!r}: {section} is a value and no section")
        where[name] = _literal(key.strip(), text)
    check_types(cls, values)
    return build_config(cls, values)


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(read_text(path))
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ValueError(f"{path} is no TOML: {error}") from error


KINDS = {int: "a whole number", float: "a finite number", str: "a text", bool: "true or false"}


def check_types(cls: type[Any], values: Mapping[str, Any], section: str = "") -> None:
    """ValueError names the first setting whose value is not of its field's type; unknown names are build_config's."""
    hints = get_type_hints(cls)
    for name, value in values.items():
        options = [hint for hint in _alternatives(hints.get(name)) if hint is not type(None)]
        hint = options[0] if len(options) == 1 else None
        if is_dataclass(hint):
            if not isinstance(value, Mapping):
                raise ValueError(f"{section}{name} is a section, not {value!r}")
            check_types(hint, value, f"{section}{name}.")  # type: ignore[arg-type]
        elif get_origin(hint) is tuple:
            kind, *more = get_args(hint)
            size = "" if Ellipsis in more else f" of {1 + len(more)}"
            fits = isinstance(value, list | tuple) and all(_is_a(kind, item) for item in value)
            if not fits or (size and len(value) != 1 + len(more)):
                raise ValueError(f"{section}{name} must be a list{size}, each item {KINDS[kind]}, not {value!r}")
        elif hint in KINDS and not _is_a(hint, value) and not (value is None and hint is not hints[name]):
            raise ValueError(f"{section}{name} must be {KINDS[hint]}, not {value!r}")


def _alternatives(hint: Any) -> tuple[Any, ...]:
    """The types of a union; any other type alone."""
    return get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)


def _is_a(kind: Any, value: Any) -> bool:
    if isinstance(value, bool) or kind is bool:
        return kind is bool and isinstance(value, bool)
    if kind is float:
        return isinstance(value, int | float) and math.isfinite(value)
    return isinstance(value, kind)


def check_run_name(name: str) -> None:
    """ValueError for a name that is no plain name of a directory."""
    if not re.fullmatch(r"[\w.+-][\w.+ -]*", name) or name in (".", ".."):
        raise ValueError(f"a run's name has letters, digits and . _ + - and is no path: {name!r}")


def _literal(key: str, text: str) -> Any:
    try:
        return tomllib.loads(f"v = {text}")["v"]
    except tomllib.TOMLDecodeError:
        return text  # a bare word
    except RecursionError:
        raise ValueError(f"{key} is nested too deeply: {text[:20]}…") from None


def dump_settings(settings: Any) -> str:
    """The settings as JSON text."""
    if not is_dataclass(settings) or isinstance(settings, type):
        raise TypeError(f"settings are a dataclass value, not {type(settings).__name__}")
    return json.dumps(asdict(settings), indent=1)
