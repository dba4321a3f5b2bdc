"""Every word on the page, in English and Chinese: one JSON file a language, one section a tab, one look-up."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

LANGUAGES = ("en", "zh")


@cache
def words(lang: str) -> Mapping[str, str]:
    """key → text in a language of LANGUAGES. The file is read at the first look-up; a key stands in one section."""
    sections = json.loads(Path(__file__).with_name(f"{lang}.json").read_text(encoding="utf-8"))
    return {key: text for section in sections.values() for key, text in section.items()}


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
    return words(lang)[key].format(**said) if said else words(lang)[key]


def duration(lang: str, seconds: float) -> str:
    """A span of time in the digits that matter: 0.6 s, 14 s, 3 min 05 s."""
    if seconds < 9.95:
        return say(lang, "seconds", value=f"{max(seconds, 0):.1f}")
    if seconds < 90:
        return say(lang, "seconds", value=f"{seconds:.0f}")
    minutes, rest = divmod(round(seconds), 60)
    return say(lang, "minutes", minutes=minutes, seconds=f"{rest:02d}")
