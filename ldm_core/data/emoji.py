"""Which emoji an icon is: by its code point, name or alias, by the character's Unicode name or a chat shortcode."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ldm_core.data.corpus import Entry
from ldm_core.data.names import normal, plain_label, segment, split_tone, toned_names, without_number, words_of
from ldm_core.data.sources import Icon, IconSet

CORRECTIONS = Path(__file__).with_name("names.tsv")
_TONE_CODES = {"1F3FB", "1F3FC", "1F3FD", "1F3FE", "1F3FF"}
_SHORT_WORDS = {"a", "of", "on", "in", "to", "up", "no", "tv", "cd", "or", "ok", "ox", "at"} | set("0123456789")


@dataclass(frozen=True)
class Emoji:
    """One entry of the emoji tables: its label as one would type it, what people search it by."""

    label: str
    tags: tuple[str, ...]


@dataclass
class EmojiTable:
    """Emojibase's rows, found by code point or by any of the names in use."""

    by_code: dict[str, Emoji] = field(default_factory=dict)
    by_label: dict[str, Emoji] = field(default_factory=dict)
    by_nickname: dict[str, Emoji] = field(default_factory=dict)

    @classmethod
    def read(cls, rows: Iterable[Mapping[str, Any]], shortcodes: Sequence[Mapping[str, Any]] = ()) -> EmojiTable:
        """`rows` of data.json; `shortcodes` tables hexcode → name or names, in order of trust."""
        table = cls()
        for row in rows:
            label = plain_label(str(row["label"]))
            emoji = Emoji(label, _useful_tags(label, row.get("tags", ())))
            for code in (row["hexcode"], *(skin["hexcode"] for skin in row.get("skins", ()))):
                table.by_code.setdefault(_key(code), emoji)
            table.by_label.setdefault(normal(str(row["label"])), emoji)
            for name in _spellings(emoji.label):
                table.by_label.setdefault(normal(name), emoji)
        for code, emoji in table.by_code.items():
            if "-" not in code and (name := unicodedata.name(chr(int(code, 16)), "")):
                table.by_nickname.setdefault(normal(name), emoji)
        for codes in shortcodes:
            for code, names in codes.items():
                for name in [names] if isinstance(names, str) else names:
                    if _key(code) in table.by_code:
                        table.by_nickname.setdefault(normal(name), table.by_code[_key(code)])
        return table

    def with_code(self, code: str) -> Emoji | None:
        """By hexadecimal code points joined by '-'; variation selectors and skin tones do not matter."""
        toneless = "-".join(c for c in _key(code).split("-") if c not in _TONE_CODES)
        return self.by_code.get(_key(code)) or self.by_code.get(toneless)


def _key(code: str) -> str:
    return "-".join(c.lstrip("0") for c in code.upper().split("-") if c != "FE0F")


def _useful_tags(label: str, tags: Iterable[str]) -> tuple[str, ...]:
    """Tags in small letters, each once; not signs such as '!!', and not a flag's country code."""
    words = dict.fromkeys(str(tag).lower() for tag in tags if any(c.isalnum() for c in str(tag)))
    if label.startswith("flag of "):
        return tuple(w for w in words if len(w) > 2 and w != "flag")
    return tuple(words)


def _spellings(label: str) -> list[str]:
    """A label, and for a flag the other ways in which the sets say whose it is."""
    if not label.startswith("flag of "):
        return [label]
    country = label.removeprefix("flag of ")
    return [label, f"flag {country}", f"flag for {country}", f"flag for flag {country}", f"{country} flag"]


def read_corrections(path: Path = CORRECTIONS) -> dict[tuple[str, str], str]:
    """(set, slug) → what is drawn, where a set's own name is misspelt, abbreviated or ambiguous."""
    lines = path.read_text(encoding="utf-8").splitlines()
    rows = [line.split("\t") for line in lines if line and not line.startswith("#")]
    return {(set_name, slug): words for set_name, slug, words in rows}


class Namer:
    """Names the icons of all sets alike, so that one thing has one concept whatever a set calls it."""

    def __init__(
        self, sets: Mapping[IconSet, Sequence[Icon]], table: EmojiTable, corrections: Mapping[tuple[str, str], str]
    ) -> None:
        self.table, self.corrections = table, corrections
        self.codes = {icon.slug: icon.code for icons in reversed(list(sets.values())) for icon in icons if icon.code}
        self.toned = {s: toned_names(i.slug for i in icons if s.bare_tones) for s, icons in sets.items()}
        self.words = _vocabulary([i.slug for s, icons in sets.items() if not s.unspaced for i in icons], table)

    def entry(self, icon: Icon, icon_set: IconSet) -> Entry:
        """What one icon shows, in the set's words and in those all sets share; split is left at 'train'."""
        slug, tone = split_tone(icon.slug, self.toned[icon_set])
        said = self.corrections.get((icon_set.key, slug))
        emoji = self.table.by_label.get(normal(said)) if said else self._find(icon, slug, icon_set)
        name = said or words_of(slug)
        if icon_set.unspaced and not said:
            name = emoji.label if emoji else without_number(segment(slug, self.words))
        concept = emoji.label if emoji else name
        if name.startswith(("flag ", "letter ")) or normal(name) == normal(concept):
            name = concept
        return Entry(name, icon_set.style, concept, tone, emoji.tags if emoji else (), "train")

    def _find(self, icon: Icon, slug: str, icon_set: IconSet) -> Emoji | None:
        """Surest first: the icon's code point, its name, its aliases, what other sets mean by that name, nicknames."""
        names = [slug, *(split_tone(alias, self.toned[icon_set])[0] for alias in icon.aliases)]
        names += [name.removeprefix("flag-for-") for name in names]  # "flag for rainbow flag"
        keys = [normal(name) for name in names]
        if icon.code and (emoji := self.table.with_code(icon.code)):
            return emoji
        by_label, by_nickname = self.table.by_label, self.table.by_nickname
        if found := next((by_label[key] for key in keys if key in by_label), None):
            return found
        if code := self.codes.get(icon.slug, ""):
            return self.table.with_code(code)
        return next((by_nickname[key] for key in keys if key in by_nickname), None)


def _vocabulary(slugs: Sequence[str], table: EmojiTable) -> Counter[str]:
    """Words of names and tags with their counts: what unspaced names are spelled with."""
    words: Counter[str] = Counter()
    for slug in slugs:
        words.update(words_of(slug).split())
    for emoji in dict.fromkeys(table.by_code.values()):
        for text in (emoji.label, *emoji.tags):
            words.update(w for w in text.replace("-", " ").split() if w.isalnum())
    return Counter({w: n for w, n in words.items() if len(w) > 2 or w in _SHORT_WORDS})
