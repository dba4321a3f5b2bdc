"""English as captions need it: plurals and articles."""

from __future__ import annotations

import re

_IRREGULAR = {
    "child": "children",
    "deer": "deer",
    "fish": "fish",
    "foot": "feet",
    "goose": "geese",
    "knife": "knives",
    "leaf": "leaves",
    "man": "men",
    "mouse": "mice",
    "ox": "oxen",
    "person": "people",
    "potato": "potatoes",
    "sheep": "sheep",
    "shrimp": "shrimp",
    "snowman": "snowmen",
    "squid": "squid",
    "tomato": "tomatoes",
    "tooth": "teeth",
    "volcano": "volcanoes",
    "wolf": "wolves",
    "woman": "women",
}
_PLURALS = {"people", "men", "women", "feet", "children", "tai-tai", "news"}
_SINGULARS = {"atlas", "canvas", "christmas", "gas", "lens", "mars", "paralysis", "tennis"}
_BARE = {"keycap", "digit", "letter", "mount", "people", "men", "women", "santa", "mrs", "input", "no", "sagittarius"}
_CLOCK = re.compile(r"o'clock$|-thirty$")
_PREPOSITION = "with|without|of|in|on|for|from|showing|behind|pointing"  # what a noun's attributes begin with
_VOWEL_SOUND = re.compile(r"(?!eu|ewe|one|u-|ufo|uku|uni|urin|use|uten|util)[aeiouå]|heir|honest|honou?r|hour|x-ray")


def is_plural(noun: str) -> bool:
    """Whether a noun's last word is a plural: 'grapes', 'french fries'; not 'bus', 'compass' or 'lens'."""
    last = noun.split()[-1]
    return last in _PLURALS or (last not in _SINGULARS and bool(re.search(r"[^suio]s$", last)))


def plural(noun: str) -> str:
    """'fox' → 'foxes', 'cup of coffee' → 'cups of coffee', 'computer mouse' → 'computer mice'; plurals stay."""
    head, *attributes = re.split(rf"(?= (?:{_PREPOSITION}) )", noun, maxsplit=1)
    first, space, last = head.rpartition(" ")
    if last in _IRREGULAR:
        last = _IRREGULAR[last]
    elif not is_plural(last):
        last = re.sub(r"(?<=[^aeiou])y$", "ie", last)
        last += "es" if re.search(r"(s|x|z|ch|sh)$", last) else "s"
    return "".join([first, space, last, *attributes])


def article(phrase: str) -> str:
    """'a' or 'an', by sound: 'an owl', 'an hourglass', 'a unicorn', 'a ufo'."""
    return "an" if _VOWEL_SOUND.match(phrase) else "a"


def with_article(name: str) -> str:
    """'apple' → 'an apple'; plurals, times and numbered things stay as they are: 'grapes', 'keycap 2'."""
    if name.startswith("flag of "):
        return f"the {name}"
    head = re.split(rf" (?:{_PREPOSITION}|and) ", name)[0]
    if is_plural(head) or name[0].isdigit() or head.split()[0] in _BARE or _CLOCK.search(name):
        return name
    return f"{article(name)} {name}"
