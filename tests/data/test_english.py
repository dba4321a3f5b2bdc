"""Plurals and articles of what captions name."""

from __future__ import annotations

import pytest

from ldm_core.data.english import article, is_plural, plural, with_article
from ldm_core.data.scenes.things import thing_of, things


@pytest.mark.parametrize(
    ("one", "many"),
    [
        ("cherry", "cherries"),
        ("toy", "toys"),
        ("fox", "foxes"),
        ("waltz", "waltzes"),
        ("bus", "buses"),
        ("red cat", "red cats"),
        ("wolf", "wolves"),
        ("computer mouse", "computer mice"),
        ("sheep", "sheep"),
        ("cup of coffee", "cups of coffee"),
        ("man in tuxedo", "men in tuxedo"),
        ("cat with tears of joy", "cats with tears of joy"),
        ("cherries", "cherries"),
        ("french fries", "french fries"),
        ("lens", "lenses"),
    ],
)
def test_plurals(one: str, many: str) -> None:
    assert plural(one) == many


def test_a_plural_means_the_thing_that_its_word_means() -> None:
    for thing in things().values():
        assert {thing_of(plural(word)).name for word in thing.words} == {thing.name}
    assert is_plural("sunglasses") and not is_plural("compass")


@pytest.mark.parametrize("phrase", ["unicorn", "ufo", "ewe", "euro banknote", "one-piece swimsuit", "ukulele", "car"])
def test_a_goes_before_a_consonant_s_sound(phrase: str) -> None:
    assert article(phrase) == "a"


@pytest.mark.parametrize(
    "phrase", ["owl", "umbrella", "hourglass", "honest man", "onion", "x-ray", "orange background"]
)
def test_an_goes_before_a_vowel_s_sound(phrase: str) -> None:
    assert article(phrase) == "an"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("red apple", "a red apple"),
        ("apple", "an apple"),
        ("unicorn", "a unicorn"),
        ("hourglass done", "an hourglass done"),
        ("grapes", "grapes"),
        ("glasses", "glasses"),
        ("bus", "a bus"),
        ("compass", "a compass"),
        ("smiling face with hearts", "a smiling face with hearts"),
        ("keycap 2", "keycap 2"),
        ("eight o'clock", "eight o'clock"),
        ("people hugging", "people hugging"),
        ("flag of chile", "the flag of chile"),
        ("orange", "an orange"),
    ],
)
def test_articles(name: str, said: str) -> None:
    assert with_article(name) == said
