"""Chinese prompts → the English captions that a model was trained on: known words only, in a caption's order."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import chain

from ldm_core.data.english import article, plural
from ldm_core.data.scenes.captions import JOINS, RELATION_PHRASES

Lexicon = Mapping[str, tuple[str, str]]  # Chinese word → (kind, English)
_CHINESE = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff]")
_FOREIGN = re.compile(r"[A-Za-z0-9][A-Za-z0-9 '\-]*")
_FILLERS = frozenset("的在有是着了一张幅画图片里中上，。、！：；（）“” ,.!:;()")
_NUMBERS = ("one", "two", "three", "four", "five", "six")
_PLURALS = frozenset(_NUMBERS[1:])
_JOINS = frozenset(chain(JOINS, *RELATION_PHRASES.values()))


def is_chinese(text: str) -> bool:
    """Whether any character is a Chinese one."""
    return bool(_CHINESE.search(text))


def to_english(prompt: str, lexicon: Lexicon) -> tuple[str, tuple[str, ...]]:
    """'三个红苹果' → 'three red apples', '猫在狗的左边' → 'a cat left of a dog'; and the words that are not known.

    The longest known word is taken first; stretches of English stay as they are.
    """
    tokens, unknown = _segment(prompt, lexicon)
    return _arrange(tokens), unknown


def _segment(prompt: str, lexicon: Lexicon) -> tuple[list[tuple[str, str]], tuple[str, ...]]:
    longest, tokens, unknown, i = max(map(len, lexicon)), list[tuple[str, str]](), list[str](), 0
    text, in_unknown = prompt.lower(), False
    while i < len(text):
        word = next((text[i : i + n] for n in range(longest, 0, -1) if text[i : i + n] in lexicon), "")
        foreign = None if word else _FOREIGN.match(text, i)
        if word == "一" and text[i + 1 : i + 2] in ("张", "幅"):  # 一张画: a picture of
            word, i = "", i + 2
        elif word:
            tokens.append(lexicon[word])
            i += len(word)
        elif foreign:
            said = foreign[0].strip()
            if not said.isdecimal():
                tokens.append(("style" if said.endswith(" style") else "thing", said))
            elif len(said) == 1 and 1 <= int(said) <= len(_NUMBERS):
                tokens.append(("number", _NUMBERS[int(said) - 1]))
            else:
                unknown.append(said)
            i = foreign.end()
        else:
            if text[i] == "在":
                tokens.append(("at", ""))
            elif text[i] not in _FILLERS and not text[i].isspace():
                if in_unknown:
                    unknown[-1] += text[i]
                else:
                    unknown.append(text[i])
                in_unknown, i = True, i + 1
                continue
            i += 1
        in_unknown = False
    return tokens, tuple(unknown)


def _arrange(tokens: Sequence[tuple[str, str]]) -> str:
    """Tokens in Chinese order → a caption: things and what joins them, then style, then background."""
    caption = _Caption()
    for kind, english in tokens:
        getattr(caption, kind)(english)
    return caption.finish()


class _Caption:
    """A caption while its words come in; one method for each kind of them."""

    def __init__(self) -> None:
        self.parts: list[str] = []
        self.endings: list[str] = []
        self.count, self.words = "", list[str]()  # of the thing that is being named
        self.place = -1  # where the relation of a 在 belongs
        self.reversed = ""  # a relation of what comes next to what came before: 狗左边的猫

    def number(self, english: str) -> None:
        self.close()
        self.count = english

    def measure(self, _english: str) -> None:
        """English counts without them."""

    def colour(self, english: str) -> None:
        self.words.append(english)

    def thing(self, english: str) -> None:
        self.words.append(english)
        self.close()

    def joint(self, english: str) -> None:
        self.close()
        self.parts.append(english)

    def at(self, _english: str) -> None:
        self.close()
        self.place = len(self.parts)

    def relation(self, english: str) -> None:
        self.close()
        if self.place > 0:
            self.parts.insert(self.place, english)
            self.place = -1
        else:
            self.reversed = english

    def style(self, english: str) -> None:
        self.endings.insert(0, english)

    def ground(self, english: str) -> None:
        """Of a background; knowledge files call it so."""
        self.endings += [f"on {article(colour)} {colour} {english}" for colour in self.words[-1:]]
        self.words = []

    def close(self) -> None:
        """The thing that was being named is complete."""
        if self.words:
            noun = " ".join(self.words)
            self.parts.append(f"{self.count} {plural(noun)}" if self.count in _PLURALS else f"{article(noun)} {noun}")
            if self.reversed and len(self.parts) > 1:
                self.parts[-2:] = [self.parts[-1], self.reversed, self.parts[-2]]
                self.reversed = ""
        self.count, self.words = "", []

    def finish(self) -> str:
        self.close()
        return ", ".join([_joined(self.parts), *self.endings] if self.parts else self.endings)


def _joined(parts: Sequence[str]) -> str:
    """Parts as text, with 'and' wherever two things meet, never at an end."""
    text: list[str] = []
    for part in parts:
        thing = part.startswith(("a ", "an ")) or part.split(" ")[0] in _PLURALS
        if part == "and" and (not text or text[-1] == "and"):
            continue
        if thing and text and text[-1] not in _JOINS:
            text.append("and")
        text.append(part)
    return " ".join(text[:-1] if text and text[-1] == "and" else text)
