"""Captions of drawings: the words a prompt is made of."""

from __future__ import annotations

import numpy as np

from ldm_core.data.corpus import Entry

RGB = tuple[int, int, int]

BACKGROUNDS: dict[str, RGB] = {
    "white": (255, 255, 255),
    "black": (16, 16, 20),
    "grey": (140, 144, 150),
    "red": (214, 48, 49),
    "orange": (243, 146, 55),
    "yellow": (250, 215, 80),
    "green": (70, 165, 85),
    "teal": (40, 160, 160),
    "blue": (55, 115, 220),
    "purple": (130, 80, 190),
    "pink": (245, 160, 195),
    "brown": (125, 85, 60),
}


def tone_words(tone: str) -> str:
    """'medium-dark' → 'medium-dark skin tone'; 'light+dark' → 'light and dark skin tones'; '' → ''."""
    parts = tone.split("+")
    return "" if not tone else f"{' and '.join(parts)} skin tone{'s' if len(parts) > 1 else ''}"


def canonical_caption(entry: Entry, background: str | None = None) -> str:
    """The one caption used for evaluation: 'red apple, noto style', with tone and background where there are any."""
    ground = f"on a {background} background" if background and background != "white" else ""
    return ", ".join(part for part in (entry.name, tone_words(entry.tone), entry.style, ground) if part)


def caption(entry: Entry, rng: np.random.Generator, background: str | None) -> str:
    """A training caption, drawn: name or label or tags, mostly with its style; tone and background when there are any.

    `background` is a key of BACKGROUNDS, or None for a colour without a name, which is then not mentioned.
    """
    what = _subject(entry, rng)
    parts = [what]
    if entry.tone and rng.random() < 0.9:
        parts.append(tone_words(entry.tone))
    if rng.random() < 0.8:
        parts.append(entry.style)
    mention = 0.9 if background != "white" else 0.15
    if background and rng.random() < mention:
        parts.append(f"on a {background} background" if rng.random() < 0.6 else f"{background} background")
    return ", ".join(parts)


def _subject(entry: Entry, rng: np.random.Generator) -> str:
    kind = rng.random()
    names = [entry.name, entry.concept] if entry.concept != entry.name else [entry.name]
    name = names[rng.integers(len(names))]
    if kind < 0.15 and entry.tags:
        count = min(len(entry.tags), int(rng.integers(1, 4)))
        tags = rng.choice(len(entry.tags), size=count, replace=False)
        return ", ".join([name, *(entry.tags[i] for i in tags)])
    if kind < 0.25 and len(entry.tags) >= 2:
        tags = rng.choice(len(entry.tags), size=2, replace=False)
        return ", ".join(entry.tags[i] for i in tags)
    if kind < 0.6:
        return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"
    return name
