"""Components that know which words they show, so that the page can change language."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import gradio as gr

from app.i18n import Sentence, say

C = TypeVar("C")


@dataclass(frozen=True)
class Linked:
    """Words of a control, and a link to the lab that shows what it does."""

    key: str
    lab: str

    def says(self, lang: str) -> str:
        """In a language of LANGUAGES, in the little Markdown that Gradio reads there."""
        return f"{say(lang, self.key)} [{say(lang, f'{self.lab}_tab')}](?lab={self.lab})"


Words = Mapping[str, str | Linked | Mapping[str, str]]


def offered(choices: Sequence[tuple[str, str]], asked: str | None, picked: str, **more: Any) -> Any:
    """A list's new choices, and its value only where another was asked for: what was chosen meanwhile stays."""
    value: dict[str, Any] = {} if asked == picked else {"value": picked}
    return gr.update(choices=list(choices), **value, **more)


class Translation:
    """Makes components in one language and remembers which words they show, so that the page can change language."""

    def __init__(self, lang: str) -> None:
        self.lang = lang
        self.components: list[Any] = []
        self._shown: list[Words] = []

    def make(self, kind: Callable[..., C], words: Words, **options: Any) -> C:
        """kind(**options) with each property of `words` ({"label": key}) set, now and in `updates`.

        Choices are {value: key}.
        """
        component = kind(**_said(words, self.lang), **options)
        self.components.append(component)
        self._shown.append(words)
        return component

    def label(self, component: Any) -> Sentence:
        """What stands over a component, in whatever language."""
        words = next(words for made, words in zip(self.components, self._shown, strict=True) if made is component)
        return Sentence(str(words["label"]))

    def updates(self, lang: str) -> list[dict[str, Any]]:
        """Per component of `components` the properties it has in `lang`."""
        return [_said(words, lang) for words in self._shown]


def _said(words: Words, lang: str) -> dict[str, Any]:
    return {name: _text(key, lang) for name, key in words.items()}


def _text(key: str | Linked | Mapping[str, str], lang: str) -> str | list[tuple[str, str]]:
    if isinstance(key, Linked):
        return key.says(lang)
    return say(lang, key) if isinstance(key, str) else [(say(lang, k), value) for value, k in key.items()]
