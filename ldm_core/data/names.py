"""Icon names → words: what is drawn, and in which skin tone."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Container, Iterable, Mapping

TONES = ("light", "medium-light", "medium", "medium-dark", "dark")
_TONE = "|".join(sorted(TONES, key=len, reverse=True))
_NUMBERED = re.compile(r"-tone(\d)(?:-tone(\d))?$")
_NAMED = re.compile(rf"-({_TONE})-skin-tone(?:-({_TONE})-skin-tone)?(?=-|$)")  # hair may follow
_BARE = re.compile(rf"-({_TONE})(?:-({_TONE}))?$")  # Fluent's names leave "skin tone" out
_SWATCHES = {f"{tone}-skin-tone" for tone in TONES}  # the tone itself is what is drawn


def split_tone(slug: str, bare_bases: Container[str] = ()) -> tuple[str, str]:
    """An icon's name → (name without tone, tone); tone is '' or one of TONES, or two joined by '+'.

    `bare_bases` are the names that a set gives in tones as "…-dark" for a dark skin tone: see `toned_names`.
    """
    match = None if slug in _SWATCHES else _NUMBERED.search(slug) or _NAMED.search(slug)
    if match is None and (bare := _BARE.search(slug)) and slug[: bare.start()] in bare_bases:
        match = bare
    if match is None:
        return slug.removesuffix("-default"), ""
    found = [t for t in match.groups() if t]
    tones = [TONES[int(t) - 1] if t.isdigit() else t for t in found if not t.isdigit() or 1 <= int(t) <= len(TONES)]
    return slug[: match.start()] + slug[match.end() :], "+".join(dict.fromkeys(tones))


def toned_names(slugs: Iterable[str]) -> frozenset[str]:
    """Names that occur with a bare tone: those that have a "-medium-dark" (a vertical-traffic-light has none)."""
    return frozenset(slug.removesuffix("-medium-dark") for slug in slugs if slug.endswith("-medium-dark"))


def normal(text: str) -> str:
    """The key under which labels, aliases and icon names meet: lower-case letters and digits only, no accents."""
    text = unicodedata.normalize("NFKD", text.lower().replace("&", "and"))
    return re.sub(r"[^a-z0-9]+", "", text)


def words_of(slug: str) -> str:
    """'man-in-lotus-position' → 'man in lotus position'."""
    return re.sub(r"[-_:]+", " ", slug).strip().lower()


def plain_label(label: str) -> str:
    """An official label as one would type it: 'flag: St. Lucia' → 'flag of st lucia', 'keycap: #' → 'keycap hash'."""
    text = label.lower().replace("’", "'").replace("&", "and")
    if text.startswith("flag: "):
        text = re.sub(r" \([^)]*\)", "", text).replace("flag: ", "flag of ")
    text = re.sub(r"^regional indicator (\w)$", r"letter \1", text)
    text = text.replace("keycap: *", "keycap asterisk").replace("keycap: #", "keycap hash").replace(" - ", " ")
    return " ".join(re.sub(r"[:,.!“”()]", "", text).split())


def without_number(name: str) -> str:
    """'floppy disk 2' → 'floppy disk': a set's second drawing of the same thing; 'keycap 2' stays."""
    return name if name.startswith(("keycap", "digit")) else re.sub(r"(?<=[a-z]{3}) ?[23]$", "", name)


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
