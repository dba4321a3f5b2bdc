"""Every word on the page, in English and Chinese: one dictionary, one file a tab, so that one thing has one name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from app.words import (
    architecture,
    attention,
    autoencoder,
    bounds,
    denoising,
    errors,
    generate,
    grid,
    lessons,
    losses,
    schedules,
)  # fmt: skip

LANGUAGES = ("en", "zh")
TABS = (generate, errors, schedules, bounds, losses, autoencoder, denoising, attention, architecture, grid, lessons)

WORDS: Mapping[str, Mapping[str, str]] = {
    "en": {key: text for tab in TABS for key, text in tab.EN.items()},
    "zh": {key: text for tab in TABS for key, text in tab.ZH.items()},
}


@dataclass(frozen=True)
class Sentence:
    """Words that wait for their language: a key and what fills its blanks, perhaps sentences again. str: in English."""

    key: str
    values: Mapping[str, Any] = field(default_factory=dict)

    def says(self, lang: str) -> str:
        """The sentence in a language of LANGUAGES."""
        return say(lang, self.key, **self.values)

    def __str__(self) -> str:
        return self.says("en")


def say(lang: str, key: str, **values: Any) -> str:
    """The words for `key` in a language of LANGUAGES, with {names} filled in; a Sentence fills in in that language.

    Without values the words are as they stand, formulas with their braces included.
    """
    said = {name: value.says(lang) if isinstance(value, Sentence) else value for name, value in values.items()}
    return WORDS[lang][key].format(**said) if said else WORDS[lang][key]


def duration(lang: str, seconds: float) -> str:
    """A span of time in the digits that matter: 0.6 s, 14 s, 3 min 05 s."""
    if seconds < 9.95:
        return say(lang, "seconds", value=f"{max(seconds, 0):.1f}")
    if seconds < 90:
        return say(lang, "seconds", value=f"{seconds:.0f}")
    minutes, rest = divmod(round(seconds), 60)
    return say(lang, "minutes", minutes=minutes, seconds=f"{rest:02d}")
