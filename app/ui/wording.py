"""Components that know which words they show, so that the page can change language."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import gradio as gr

from app.words import say

C = TypeVar("C")


def language(request: gr.Request | None, default: str) -> str:
    """The language of the page an event comes from: ?lang=zh in its address, else the operator's choice."""
    asked = request.query_params.get("lang") if request is not None else None
    return asked if asked in ("en", "zh") else default


class Wording:
    """Makes components in one language and remembers which words they show, so that the page can change language."""

    def __init__(self, lang: str) -> None:
        self.lang = lang
        self.components: list[Any] = []
        self._shown: list[Mapping[str, str]] = []

    def make(self, kind: Callable[..., C], words: Mapping[str, str], **options: Any) -> C:
        """kind(**options) with each property of `words` ({"label": key}) set, now and in `updates`."""
        component = kind(**{name: say(self.lang, key) for name, key in words.items()}, **options)
        self.components.append(component)
        self._shown.append(words)
        return component

    def updates(self, lang: str) -> list[dict[str, str]]:
        """Per component of `components` the properties it has in `lang`."""
        return [{name: say(lang, key) for name, key in words.items()} for words in self._shown]
