"""What a model knows, from a file beside its weights: which words of a prompt mean something to it, and the English
that it draws for emoji and Chinese. Needs no torch.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import Any, Literal

from ldm_core.data.english import plural
from ldm_core.data.names import TONES
from ldm_core.text.chinese import is_chinese, to_english
from ldm_core.text.prompt_syntax import parse, plain

SUFFIX = ".knowledge.json"
KINDS = ("thing", "colour", "number", "relation", "style", "ground", "word")
Kind = Literal["thing", "colour", "number", "relation", "style", "ground", "word"]
Nearest = Callable[[Sequence[str]], Sequence[str | None]]  # unknown words → known names
ALIKE = 0.82  # share of the letters that two spellings have in common
GRAMMAR = frozenset(("a", "an", "the", "of", "and", "with", "in", "on", "at", "to", "is", "are", "it", "its"))
_WORD = re.compile(r"[^\W_]+(?:['’\-][^\W_]+)*")
_NARROW = str.maketrans("（）：", "():")  # what a Chinese keyboard types for a weight's signs
_TONES = {chr(0x1F3FB + i): tone for i, tone in enumerate(TONES)}  # Fitzpatrick modifiers


@dataclass(frozen=True)
class Word:
    """A known stretch [start, end) of `Reading.english`, and the model's own name for it."""

    text: str
    start: int
    end: int
    kind: Kind
    meaning: str


@dataclass(frozen=True)
class UnknownWord:
    """A word that no caption held. `start` and `end` are in `Reading.english`, or -1 where the word is left out of it;
    `nearest` is the known name that it may be drawn as, if any is near.
    """

    text: str
    start: int
    end: int
    nearest: str | None


@dataclass(frozen=True)
class Reading:
    """A prompt as a model reads it: the English that is drawn, what of it is known, what is not."""

    english: str
    known: tuple[Word, ...]
    unknown: tuple[UnknownWord, ...]


class Knowledge:
    """Names, words and characters that a model was trained on."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        """values: the file's content, see scripts/knowledge.py."""
        self.concepts: Mapping[str, Mapping[str, Any]] = values["concepts"]  # name → emoji, zh
        self.things: Mapping[str, Sequence[str]] = values["things"]  # name → its words
        self.synonyms: Mapping[str, str] = values["synonyms"]  # word → concept
        self.styles: Sequence[str] = values["styles"]
        self.colours: Sequence[str] = values["colours"]
        self.numbers: Sequence[str] = values["numbers"]
        self.relations: Mapping[str, Sequence[str]] = values["relations"]
        self.vocabulary = frozenset(values["vocabulary"])
        self.chinese: Mapping[str, tuple[str, str]] = {k: (v[0], v[1]) for k, v in values["chinese"].items()}

    @classmethod
    def load(cls, path: str | Path) -> Knowledge:
        """From a file; FileNotFoundError where there is none, ValueError for one that is damaged."""
        try:
            return cls(json.loads(Path(path).read_text(encoding="utf-8")))
        except (json.JSONDecodeError, KeyError, TypeError, IndexError) as error:
            raise ValueError(f"{path} is a damaged knowledge file: {error}") from None

    @classmethod
    def beside(cls, weights: str | Path) -> Knowledge | None:
        """Of a weights file: model.knowledge.json beside model.safetensors; None where there is none."""
        path = Path(weights).with_suffix(SUFFIX)
        return cls.load(path) if path.is_file() else None

    def read(self, prompt: str, nearest: Nearest | None = None) -> Reading:
        """A prompt in English, Chinese or emoji → what is drawn. Words are looked up in any case, in the plural too.

        `nearest` finds known names for unknown words; without one, by their spelling. Chinese loses its weights: the
        English has another order.
        """
        english = self._spell_emoji(prompt)
        dropped: tuple[str, ...] = ()
        if is_chinese(english):
            english, dropped = to_english(plain(parse(english.translate(_NARROW))), self.chinese)
        words = [m for m in _WORD.finditer(english) if not (m[0].isdigit() and english[: m.start()][-1:] in (":", "."))]
        known: list[Word] = []
        strange: list[re.Match[str]] = []
        i = 0
        while i < len(words):
            for n in range(min(self._longest, len(words) - i), 0, -1):
                start, end = words[i].start(), words[i + n - 1].end()
                if found := self._look_up(english[start:end]):
                    known.append(Word(english[start:end], start, end, *found))
                    break
            else:
                n = 1
                if words[i].group().lower() not in GRAMMAR:
                    strange.append(words[i])
            i += n
        said = [*(m.group() for m in strange), *dropped]
        names = (nearest or self.nearest_by_spelling)(said) if said else ()
        places = [*((m.start(), m.end()) for m in strange), *((-1, -1) for _ in dropped)]
        unknown = [UnknownWord(w, *at, name) for w, at, name in zip(said, places, names, strict=True)]
        return Reading(english, tuple(known), tuple(unknown))

    def nearest_by_spelling(self, words: Sequence[str]) -> list[str | None]:
        """For each word the known name that is spelled most alike; None where none is much."""
        names = [*self._phrases, *self.vocabulary]
        close = (get_close_matches(word.lower(), names, 1, ALIKE) for word in words)
        return [self._phrases.get(found[0], ("word", found[0]))[1] if found else None for found in close]

    def _look_up(self, text: str) -> tuple[Kind, str] | None:
        said = re.sub(r"\s+", " ", text.lower().replace("’", "'"))
        if said in GRAMMAR:
            return None
        return self._phrases.get(said) or (("word", said) if said in self.vocabulary else None)

    @cached_property
    def _phrases(self) -> dict[str, tuple[Kind, str]]:
        """Everything that is known under a name, lower case → (kind, the model's name)."""
        found: dict[str, tuple[Kind, str]] = {}
        for name in self.concepts:
            found[name] = "thing", name
            found.setdefault(plural(name), ("thing", name))
        for word, concept in self.synonyms.items():
            found.setdefault(word, ("thing", concept))
            found.setdefault(plural(word), ("thing", concept))
        for name, words in self.things.items():
            for word in words:
                found[word] = found[plural(word)] = "thing", name
        for relation, ways in self.relations.items():
            found |= dict.fromkeys(ways, ("relation", relation))
        found |= {number: ("number", number) for number in self.numbers}
        found |= {str(i): ("number", number) for i, number in enumerate(self.numbers, 1)}
        found |= {style: ("style", style) for style in self.styles}
        for colour in self.colours:
            found[colour] = "colour", colour
            found[f"{colour} background"] = "ground", colour
        return found

    @cached_property
    def _longest(self) -> int:
        return max(phrase.count(" ") + 1 for phrase in self._phrases)

    @cached_property
    def _by_emoji(self) -> dict[str, str]:
        shown = ((about.get("emoji", ""), name) for name, about in self.concepts.items())
        return {emoji: name for emoji, name in shown if emoji and not emoji.isascii()}

    @cached_property
    def _emoji(self) -> re.Pattern[str]:
        longest_first = sorted(self._by_emoji, key=len, reverse=True)
        return re.compile(f"(?P<emoji>{'|'.join(map(re.escape, longest_first))})(?P<tone>[{''.join(_TONES)}]?)")

    @cached_property
    def _emoji_run(self) -> re.Pattern[str]:
        one = re.sub(r"\?P<\w+>", "?:", self._emoji.pattern)
        return re.compile(rf"(?:{one})(?:\s*(?:{one}))*")

    def _spell_emoji(self, prompt: str) -> str:
        """Emoji as words: '🍎🍎🍎' → 'three red apples', 'a 🐈 and a 🚀' → 'a cat and a rocket'; tones at the end."""
        prompt = prompt.replace("\ufe0f", "")  # the variation selector, with which the same emoji may stand or not
        tones = dict.fromkeys(m["tone"] for m in self._emoji.finditer(prompt) if m["tone"])

        def say(run: re.Match[str]) -> str:
            before, after = prompt[: run.start()], prompt[run.end() : run.end() + 1]
            names = [self._by_emoji[m["emoji"]] for m in self._emoji.finditer(run[0])]
            counted = [(name, len(list(alike))) for name, alike in groupby(names)]
            said = [name if n == 1 else f"{self._number(n)} {plural(name)}" for name, n in counted]
            last = (before.split() or [""])[-1].lower()
            if counted[0][1] == 1 and self._phrases.get(last) in self._several:
                said[0] = plural(said[0])
            return " " * before[-1:].isalnum() + " and ".join(said) + " " * after.isalnum()

        english = self._emoji_run.sub(say, prompt)
        return ", ".join([english, *(f"{_TONES[tone]} skin tone" for tone in tones)])

    @property
    def _several(self) -> set[tuple[Kind, str]]:
        return {("number", number) for number in self.numbers[1:]}

    def _number(self, count: int) -> str:
        return self.numbers[count - 1] if count <= len(self.numbers) else str(count)
