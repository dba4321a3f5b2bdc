"""The line under the prompt, the chips and the surprise, on what the shipped model knows."""

from __future__ import annotations

import random
import re
from html import unescape

import pytest

from app.i18n import say
from app.ui.examples import EXAMPLES
from app.ui.prompt_line import chips_html, reading_html, surprise
from ldm_core.data.colours import THING_COLOURS
from ldm_core.shipped import EMOJI_128
from ldm_core.text.chinese import is_chinese
from ldm_core.text.knowledge import Knowledge
from tests.app.ui.fake import Count


@pytest.fixture(scope="module")
def knowledge() -> Knowledge:
    found = Knowledge.beside(EMOJI_128)
    assert found is not None
    return found


def read(knowledge: Knowledge, prompt: str) -> str:
    return unescape(reading_html(prompt, knowledge.read(prompt), Count(3, 30, ""), "en"))


def test_known_words_are_listed_once(knowledge: Knowledge):
    assert "knows: red · cat" in read(knowledge, "a red cat and a red cat")
    assert "draws:" not in read(knowledge, "a red cat")


@pytest.mark.parametrize(("prompt", "english"), [("一只猫", "a cat"), ("🍎🍎🍎", "three red apples")])
def test_emoji_and_chinese_say_the_english_that_is_drawn(knowledge: Knowledge, prompt: str, english: str):
    assert f"draws: {english}" in read(knowledge, prompt)


def test_an_unknown_word_offers_the_nearest_known_one(knowledge: Knowledge):
    html = read(knowledge, "a pengiun")
    assert "new to the model: pengiun" in html and 'data-replace="pengiun" data-by="penguin"' in html


def test_many_unknown_words_are_one_line_with_few_offers(knowledge: Knowledge):
    mistyped = ("pengiun", "octopuss", "elefant", "giraff", "umbrela")
    html = read(knowledge, " ".join((*mistyped, *(f"zxqvk{letter}" for letter in "abcdefghijklmnop"))))
    assert html.count("new to the model:") == 1 and "zxqvka" in html and "zxqvkp" not in html and "…</span>" in html
    assert html.count("data-by=") == 3


def test_tokens():
    assert "7/30 tokens" in reading_html("", None, Count(7, 30, ""), "en")
    over = reading_html("", None, Count(31, 30, "a <b>tail"), "en")
    assert "31/30" in over and "“a <b>tail”" in unescape(over) and "<b>" not in over and 'role="alert"' in over
    assert len(reading_html("", None, Count(31, 30, "x" * 5000), "en")) < 600


def test_chips_are_the_model_s_styles_colours_and_grounds_and_one_each_for_any(knowledge: Knowledge):
    html = chips_html(knowledge, "en")
    assert html.count("data-style=") == len(knowledge.styles) + 1
    assert html.count("data-ground=") == len(knowledge.colours) + 1
    assert html.count("data-colour=") == len(THING_COLOURS) + 1
    assert html.count('=""') == 3, "any"
    assert "红色" in chips_html(knowledge, "zh")
    assert chips_html(None, "en") == ""


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_a_surprise_is_made_of_known_words(knowledge: Knowledge, lang: str):
    said = {surprise(knowledge, (), lang, random.Random(seed)) for seed in range(50)}
    assert len(said) > 40
    for prompt in said:
        assert is_chinese(prompt) == (lang == "zh") and not knowledge.read(prompt).unknown, prompt
        assert not re.search(r"\ba [aeio]|\ban [^aeiou]", prompt), prompt
    assert surprise(None, ("a cat",), lang, random.Random(0)) == "a cat"


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_every_example_is_known(knowledge: Knowledge, lang: str):
    for key in EXAMPLES:
        assert not knowledge.read(say(lang, key)).unknown, key
