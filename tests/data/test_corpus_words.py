"""Names and captions: what a person would type, and never another drawing's style, tone or background."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ldm_core.data.captions import canonical_caption, caption, read_synonyms, tone_words
from ldm_core.data.colours import BACKGROUNDS
from ldm_core.data.corpus import Entry
from ldm_core.data.emoji import EmojiTable, read_corrections
from ldm_core.data.names import (
    TONES,
    normal,
    plain_label,
    segment,
    split_tone,
    toned_names,
    without_number,
)
from ldm_core.data.sources import ICON_SETS, icons_of
from ldm_core.evaluation.text import read_paraphrases

STYLES = [s.style for s in ICON_SETS]


@pytest.mark.parametrize(
    ("slug", "name", "tone"),
    [
        ("waving-hand", "waving-hand", ""),
        ("waving-hand-medium-dark-skin-tone", "waving-hand", "medium-dark"),
        ("man-medium-light-skin-tone-curly-hair", "man-curly-hair", "medium-light"),
        ("handshake-light-skin-tone-dark-skin-tone", "handshake", "light+dark"),
        ("handshake-dark-skin-tone-dark-skin-tone", "handshake", "dark"),
        ("waving-hand-tone4", "waving-hand", "medium-dark"),
        ("waving-hand-default", "waving-hand", ""),
        ("waving-hand-dark", "waving-hand", "dark"),  # Fluent
        ("vertical-traffic-light", "vertical-traffic-light", ""),
        ("medium-dark-skin-tone", "medium-dark-skin-tone", ""),  # a swatch of the tone itself
    ],
)
def test_tone_is_told_from_the_name(slug: str, name: str, tone: str) -> None:
    assert split_tone(slug, toned_names(["waving-hand-medium-dark", "vertical-traffic-light"])) == (name, tone)


@pytest.mark.parametrize(
    ("label", "plain"),
    [
        ("flag: St. Lucia", "flag of st lucia"),
        ("flag: Myanmar (Burma)", "flag of myanmar"),
        ("flag: Cocos (Keeling) Islands", "flag of cocos islands"),
        ("flag: Trinidad & Tobago", "flag of trinidad and tobago"),
        ("keycap: #", "keycap hash"),
        ("regional indicator B", "letter b"),
        ("A button (blood type)", "a button blood type"),
        ("woman’s hat", "woman's hat"),
        ("Japanese “here” button", "japanese here button"),
        ("person: blond hair", "person blond hair"),
    ],
)
def test_labels_become_what_one_types(label: str, plain: str) -> None:
    assert plain_label(label) == plain


def test_names_meet_without_accents_and_signs() -> None:
    assert normal("Piñata") == normal("pinata")
    assert normal("flag: Åland Islands") == normal("flag-aland-islands")
    assert normal("jack-o-lantern") == normal("jack o’lantern")


def test_words_run_together_are_parted() -> None:
    words = {"alarm": 3, "clock": 5, "al": 1, "arm": 2, "clo": 1, "ck": 1}
    assert segment("alarmclock", words) == "alarm clock"
    assert segment("alarmclox", words) == "alarmclox"
    assert without_number("floppy disk 2") == "floppy disk"
    assert without_number("keycap 2") == "keycap 2"


def test_table_finds_by_code_tone_label_character_name_and_shortcode() -> None:
    rows = [
        {"label": "bullseye", "hexcode": "1F3AF", "tags": ["target", "!!"]},
        {"label": "keycap: 1", "hexcode": "0031-FE0F-20E3"},
        {"label": "waving hand", "hexcode": "1F44B", "skins": [{"hexcode": "1F44B-1F3FF"}]},
    ]
    table = EmojiTable.read(rows, [{"1F44B": ["wave", "hello"]}])
    wave = table.by_label["wavinghand"]
    assert table.with_code("1f44b-1f3ff") is table.with_code("1f44b-1f3fb") is table.by_nickname["hello"] is wave
    assert table.by_nickname[normal("DIRECT HIT")].tags == ("target",)  # the character's own name; no mere signs
    assert table.with_code("31-20e3") is table.by_label["keycap1"]
    assert table.with_code("1f999") is None


def test_icons_keep_aliases_as_names_and_leave_the_hidden_out() -> None:
    data = {
        "height": 64,
        "icons": {
            "bear-face": {"body": "<g/>"},
            "old": {"body": "<g/>", "hidden": True},
            "wide": {"body": "", "width": 9},
        },
        "aliases": {"bear": {"parent": "bear-face"}, "mirrored": {"parent": "bear-face", "hFlip": True}},
    }
    bear, wide = icons_of(data, {"1f43b": "bear-face"})
    assert (bear.aliases, bear.code) == (("bear",), "1f43b")
    assert 'viewBox="0 0 9 64"' in wide.svg


def test_corrections_belong_to_sets_and_say_it_in_plain_words() -> None:
    keys = {s.key for s in ICON_SETS}
    for (set_name, slug), words in read_corrections().items():
        assert set_name in keys
        assert slug
        assert words == plain_label(words)


@given(
    st.sampled_from(STYLES),
    st.sampled_from(["", *TONES, "light+dark"]),
    st.sampled_from([None, *BACKGROUNDS]),
    st.lists(st.sampled_from(["fruit", "red", "apple", "food"]), unique=True),
    st.integers(0, 2**32),
)
@settings(max_examples=300, deadline=None)
def test_captions_say_nothing_untrue(style: str, tone: str, background: str | None, tags: list[str], seed: int) -> None:
    entry = Entry("crimson fruit", style, "ripe apple", tone, tuple(tags), "train")
    parts = caption(entry, np.random.default_rng(seed), background).split(", ")
    said = {part for part in parts if part.endswith("style")}
    assert said <= {style}
    assert {part for part in parts if "skin tone" in part} <= {tone_words(tone)}
    subject = [p for p in parts if p not in said and "skin tone" not in p]
    subject = re.sub(r"(?<!,) (on an? [a-z]+ background)", r", \1", ", ".join(subject)).split(", ")
    backgrounds = [p for p in subject if "background" in p]
    assert set(backgrounds) <= {f"{how}{background} background" for how in ("", "on a ", "on an ")}
    assert len(backgrounds) == 1 or background in (None, "white")
    subject = [p for p in subject if "background" not in p]
    assert subject
    assert set(subject) <= {"crimson fruit", "a crimson fruit", "ripe apple", "a ripe apple", *tags}
    assert "on a orange" not in ", ".join(parts)


def test_captions_vary_and_mostly_name_their_style() -> None:
    entry, rng = Entry("red apple", "noto style", "red apple", "", ("fruit", "ripe"), "train"), np.random.default_rng(0)
    captions = [caption(entry, rng, None) for _ in range(1000)]
    assert {"a red apple, noto style", "red apple, noto style", "red apple"} <= set(captions)
    assert 0.75 < np.mean(["noto style" in c for c in captions]) < 0.85
    white = [caption(entry, rng, "white") for _ in range(1000)]
    assert 0.08 < np.mean(["white background" in c for c in white]) < 0.22


def test_a_background_is_said_in_three_places() -> None:
    entry, rng = Entry("apple", "noto style", "apple", "", (), "train"), np.random.default_rng(0)
    captions = {caption(entry, rng, "blue") for _ in range(300)}
    assert {
        "apple on a blue background, noto style",
        "apple, noto style, on a blue background",
        "an apple, noto style, blue background",
    } <= captions


def test_synonyms_stand_for_their_concept_alone() -> None:
    synonyms = {"cat": ["feline"]}
    entries, rng = [Entry(c, "noto style", c, "", (), "train") for c in ("cat", "dog")], np.random.default_rng(0)
    captions = {e.concept: [caption(e, rng, None, synonyms) for _ in range(500)] for e in entries}
    said = {c: np.mean(["feline" in text for text in texts]) for c, texts in captions.items()}
    assert 0.15 < said["cat"] < 0.25 and said["dog"] == 0
    assert {"feline, noto style", "a feline"} <= set(captions["cat"])


def test_no_synonym_is_a_word_that_the_evaluation_asks_for() -> None:
    words = [word for found in read_synonyms().values() for word in found]
    assert len(words) == len(set(words)) > 300
    assert not set(words) & {word for word, _ in read_paraphrases()}


def test_canonical_caption_is_made_of_shared_words() -> None:
    entry = Entry("weary cat face", "noto style", "weary cat", "light+dark", ("tired",), "heldout")
    assert canonical_caption(entry) == "weary cat, light and dark skin tones, noto style"
    assert canonical_caption(entry, "orange").endswith(", noto style, on an orange background")
    assert canonical_caption(entry, "white") == canonical_caption(entry)
