"""What the service answers with, and why it refuses; what is asked of it is ldm_core.sampling.SamplingParams."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from app.i18n import Sentence
from ldm_core.sampling import Limits, ParameterError, SamplingParams


class RequestError(ValueError):
    """The request cannot be served. `sentence` says why in the page's languages, the error's own text in English.

    `setting` names the field of SamplingParams that is wrong, "" where it is none of them.
    """

    def __init__(self, key: str, **values: Any) -> None:
        self.sentence = Sentence(key, values)
        self.setting = ""
        super().__init__(str(self.sentence))

    @classmethod
    def of(cls, error: ParameterError) -> Self:
        """The same refusal in the page's words."""
        named = {"field": Sentence(error.field)} if error.field else {}
        refusal = cls(error.key, **error.values, **named)
        refusal.setting = error.field
        return refusal


def read_params(values: Mapping[str, Any]) -> SamplingParams:
    """Plain values from outside → request; RequestError where the library refuses them."""
    try:
        return SamplingParams.from_dict(values)
    except ParameterError as error:
        raise RequestError.of(error) from None


def check_params(params: SamplingParams, limits: Limits) -> None:
    """RequestError for the first setting that the model or its operator does not allow."""
    try:
        params.check(limits)
    except ParameterError as error:
        raise RequestError.of(error) from None


@dataclass(frozen=True)
class GeneratedImage:
    """One PNG on disk."""

    path: Path
    seed: int
    width: int
    height: int


@dataclass(frozen=True)
class GenerateResult:
    """What a finished job leaves; its request has every value but perhaps the size."""

    request: SamplingParams
    images: tuple[GeneratedImage, ...]
    seconds: float
    steps_done: int
    kept: bool = False  # the pictures are in the history
    start: str = "noise"  # what they began from, as their files say it
    model: str = ""  # the name of what made them
