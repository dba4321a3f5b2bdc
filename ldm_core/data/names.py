"""Icon names → words: what is drawn, in which skin tone, under which tags."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

TONES = ("light", "medium-light", "medium", "medium-dark", "dark")
_TONE = "|".join(sorted(TONES, key=len, reverse=True))
_NUMBERED = re.compile(r"-tone(\d)(?:-tone(\d))?$")
_NAMED = re.compile(rf"-({_TONE})-skin-tone(?:-({_TONE})-skin-tone)?(?=-|$)")  # hair may follow
_BARE = re.compile(rf"-({_TONE})(?:-({_TONE}))?$")  # Fluent's names leave "skin tone" out


@dataclass(frozen=True)
class Emoji:
    """One entry of the emoji tables: its label, what people search it by."""

    label: str
    tags: tuple[str, ...]


def split_tone(slug: str, bare: bool) -> tuple[str, str]:
    """An icon's name → (name without tone, tone); tone is '' or one of TONES, or two joined by '+'.

    `bare` says that the set writes "-dark" for a dark skin tone.
    """
    if match := _NUMBERED.search(slug):
        tones = [TONES[int(n) - 1] for n in match.groups() if n and 1 <= int(n) <= len(TONES)]
    elif (match := _NAMED.search(slug)) or (bare and (match := _BARE.search(slug))):
        tones = [t for t in match.groups() if t]
    else:
        return slug.removesuffix("-default"), ""
    return slug[: match.start()] + slug[match.end() :], "+".join(dict.fromkeys(tones))


def normal(text: str) -> str:
    """The key under which labels, tags and icon names meet: lower-case letters and digits only."""
    text = text.lower().replace("&", "and").replace("’", "").replace("'", "")
    return re.sub(r"[^a-z0-9]+", "", text)


def words_of(slug: str) -> str:
    """'flag-for-chile' → 'flag for chile'."""
    return re.sub(r"[-_:]+", " ", slug).strip().lower()


def without_number(name: str) -> str:
    """'floppy disk 2' → 'floppy disk': a set's second drawing of the same thing; 'keycap 2' stays."""
    return name if name.startswith(("keycap", "digit")) else re.sub(r"(?<=[a-z]{3}) [23]$", "", name)


def emoji_by_name(rows: Iterable[Mapping[str, Any]]) -> dict[str, Emoji]:
    """Emojibase's rows → normalised label → Emoji; flags also under 'flag for X' and 'X flag'."""
    table: dict[str, Emoji] = {}
    for row in rows:
        label = str(row["label"]).lower().replace("“", "").replace("”", "")
        emoji = Emoji(re.sub(r"[:,]", "", label), tuple(str(t).lower() for t in row.get("tags", ())))
        keys = [label]
        if label.startswith("flag: "):
            country = label.removeprefix("flag: ")
            keys += [f"flag for flag {country}", f"flag for {country}", f"{country} flag"]
        for key in keys:
            table.setdefault(normal(key), emoji)
    return table


def segment(run: str, vocabulary: Mapping[str, int]) -> str:
    """'alarmclock' → 'alarm clock': the fewest known words that spell it, the commoner ones on a tie.

    A name that the vocabulary cannot spell stays one word.
    """
    best: list[tuple[float, list[str]] | None] = [(0.0, [])] + [None] * len(run)
    for end in range(1, len(run) + 1):
        for start in range(max(0, end - 20), end):
            word, before = run[start:end], best[start]
            if before is None or word not in vocabulary:
                continue
            cost = before[0] + 1.0 + 1.0 / (1 + vocabulary[word])
            if best[end] is None or cost < best[end][0]:  # type: ignore[index]
                best[end] = (cost, [*before[1], word])
    return " ".join(best[-1][1]) if best[-1] else run
