"""Both languages say everything, with the same blanks to fill, and nothing is said that no part of the page says."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

import pytest

from app import i18n
from app.i18n import LANGUAGES, Sentence, duration, say, words
from app.widgets.translation import Translation

UI = Path("app/ui")


def test_languages_have_the_same_words_and_blanks():
    english, chinese = (words(lang) for lang in LANGUAGES)
    assert english.keys() == chinese.keys()
    for key, text in english.items():
        assert set(re.findall(r"{(\w+)}", text)) == set(re.findall(r"{(\w+)}", chinese[key])), key
        assert chinese[key].strip()


def sections(lang: str) -> dict[str, dict[str, str]]:
    return json.loads(Path(i18n.__file__).with_name(f"{lang}.json").read_text(encoding="utf-8"))


def test_no_key_stands_in_two_sections():
    for lang in LANGUAGES:
        keys = [key for section in sections(lang).values() for key in section]
        assert len(keys) == len(set(keys)), sorted(key for key in set(keys) if keys.count(key) > 1)


def spoken() -> tuple[set[str], list[str]]:
    """Every word in the code, and every word with blanks that is built there: f"state_{phase}" is "state_{}"."""
    said, built = set[str](), list[str]()
    for path in [*Path("app").rglob("*.py"), *Path("ldm_core").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.JoinedStr):
                built.append("".join(part.value if isinstance(part, ast.Constant) else "{}" for part in node.values))  # type: ignore[misc]
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                said.add(node.value)
            elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                said.add(node.target.id)  # a field, whose label is its name
    for path in UI.glob("assets/*.js"):
        said |= set(re.findall(r"""["'](\w+)["']""", path.read_text()))
        built += [re.sub(r"\${.*?}", "{}", text) for text in re.findall(r"`((?:\w|\${[^`]*?})+)`", path.read_text())]
    return said, [text for text in built if re.fullmatch(r"\w*[a-z]{2}\w*", text.replace("{}", ""))]


def test_every_word_is_used():
    """By itself, or built of parts that are all in the code."""
    said, built = spoken()
    keys = {key for section in sections("en").values() for key in section}
    left = keys - said
    part = "|".join(sorted(re.escape(word) for word in said if any(word in key for key in left)))
    patterns = [re.compile(text.replace("{}", f"(?:{part})")) for text in set(built)]
    assert sorted(key for key in left if not any(pattern.fullmatch(key) for pattern in patterns)) == []


@pytest.mark.parametrize(
    ("seconds", "text"), [(-1, "0.0 s"), (0.63, "0.6 s"), (9.94, "9.9 s"), (14.4, "14 s"), (185, "3 min 05 s")]
)
def test_durations_have_sensible_digits(seconds: float, text: str):
    assert duration("en", seconds) == text


def test_translation_remembers_what_components_show():
    translation = Translation("en")
    made = translation.make(dict, {"label": "stop", "info": "eta_info"}, value=3)
    assert made == {"label": "Stop", "info": say("en", "eta_info"), "value": 3}
    assert translation.components == [made]
    assert translation.updates("zh") == [{"label": "停止", "info": say("zh", "eta_info")}]


def test_a_sentence_waits_for_its_language():
    fault = Sentence("out_of_range", {"field": Sentence("steps"), "low": 1, "high": 1000, "value": 0})
    assert str(fault) == "Steps must lie between 1 and 1000, not 0."
    assert fault.says("zh") == "采样步数必须在 1 到 1000 之间，不能是 0。"
    assert say("zh", "failed", message=fault) == f"没有生成图像：{fault.says('zh')}"
