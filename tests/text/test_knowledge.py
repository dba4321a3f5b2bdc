"""What prompts mean to the embedded model: its own knowledge file, in English, Chinese and emoji."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from ldm_core.data.scenes.things import things
from ldm_core.text.knowledge import Knowledge
from scripts.knowledge import read_chinese

WEIGHTS = Path(__file__).parents[2] / "weights"


@pytest.fixture(scope="module")
def knowledge() -> Knowledge:
    found = Knowledge.beside(WEIGHTS / "emoji-128.safetensors")
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("prompt", "english"),
    [
        ("🍎", "red apple"),
        ("🍎🍎🍎", "three red apples"),
        ("three 🍎", "three red apples"),
        ("a 🐈 and a 🚀", "a cat and a rocket"),
        ("🐈🚀", "cat and rocket"),
        ("👍🏽", "thumbs up, medium skin tone"),
        ("❤️, flat style", "red heart, flat style"),
        ("一只猫", "a cat"),
        ("3只猫", "three cats"),
        ("9" * 5000 + "只猫", "a cat"),
        ("10只猫", "a cat"),
        ("(红:1.5)苹果", "a red apple"),
        ("（红：1.5）苹果", "a red apple"),
        ("(猫:0.5)在[狗]的左边", "a cat left of a dog"),
        ("两只猫, (noto style:1.3)", "two cats, noto style"),
        ("三个红苹果", "three red apples"),
        ("蓝色的猫和红色的星星", "a blue cat and a red star"),
        ("猫在狗的左边", "a cat left of a dog"),
        ("狗上面的猫", "a cat above a dog"),
        ("红色背景上的飞机", "an airplane, on a red background"),
        ("一个苹果，扁平风格", "an apple, flat style"),
        ("一张画：火箭和雪人", "a rocket and a snowman"),
        ("三个🍎", "three red apples"),
        ("a (red:1.3) car, noto style", "a (red:1.3) car, noto style"),
        ("", ""),
    ],
)
def test_english_that_is_drawn(knowledge: Knowledge, prompt: str, english: str):
    assert knowledge.read(prompt).english == english


def test_spans_and_kinds(knowledge: Knowledge):
    reading = knowledge.read("Two apples to the left of a blue car, 3d style, on a teal background")
    assert [(w.text, w.kind, w.meaning) for w in reading.known] == [
        ("Two", "number", "two"),
        ("apples", "thing", "apple"),
        ("to the left of", "relation", "left"),
        ("blue", "colour", "blue"),
        ("car", "thing", "car"),
        ("3d style", "style", "3d style"),
        ("teal background", "ground", "teal"),
    ]
    assert all(reading.english[w.start : w.end] == w.text for w in reading.known) and reading.unknown == ()


def test_unknown_words_and_what_they_are_near_to(knowledge: Knowledge):
    (typo,) = knowledge.read("a puprle cat").unknown
    assert (typo.text, typo.start, typo.end, typo.nearest) == ("puprle", 2, 8, "purple")
    (strange,) = knowledge.read("a zxqvk").unknown
    assert strange.nearest is None
    (left_out,) = knowledge.read("一只戴帽子的猫").unknown
    assert (left_out.text, left_out.start) == ("戴", -1)
    asked: list[str] = []

    def encoder(words: Sequence[str]) -> list[str]:
        asked.extend(words)
        return ["automobile"]

    assert knowledge.read("a red sedan", encoder).unknown[0].nearest == "automobile" and asked == ["sedan"]


def test_every_thing_and_every_emoji_of_a_known_concept_is_read(knowledge: Knowledge):
    for thing in things().values():
        for word in thing.words:
            (found,) = knowledge.read(word).known
            assert (found.kind, found.meaning) == ("thing", thing.name)
    shown = {name: about["emoji"] for name, about in knowledge.concepts.items() if about.get("emoji")}
    emoji = [(name, sign) for name, sign in shown.items() if not sign.isascii()]
    assert len(emoji) > 1500
    wrong = [name for name, sign in emoji if knowledge.read(sign).english != name]
    assert len(wrong) < 0.01 * len(emoji), wrong


def test_chinese_words_mean_things_the_model_knows(knowledge: Knowledge):
    for word, (kind, english) in read_chinese().items():
        if kind == "thing" and english != "train":
            assert english in things() or english in knowledge.concepts, (word, english)


def test_a_damaged_or_missing_file(tmp_path: Path):
    assert Knowledge.beside(tmp_path / "model.safetensors") is None
    (tmp_path / "model.knowledge.json").write_text('{"concepts": 1}')
    with pytest.raises(ValueError, match="damaged"):
        Knowledge.beside(tmp_path / "model.safetensors")


def test_reading_needs_no_torch():
    code = "import sys, ldm_core.text.knowledge; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, cwd=WEIGHTS.parent).returncode == 0
