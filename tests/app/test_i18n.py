"""Both languages say everything, with the same blanks to fill, and nothing is said that no part of the page says."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from app import i18n
from app.i18n import LANGUAGES, Sentence, duration, say, words
from app.ui.translation import Translation
from ldm_core.images import PictureError
from ldm_core.metadata import MetadataError
from ldm_core.sampling import MESSAGES, SAMPLER_NAMES, SamplingParams

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


def test_every_word_is_used():
    files = [*Path("app").rglob("*.py"), *UI.glob("assets/*.js")]
    code = "".join(path.read_text() for path in files if "i18n" not in path.parts)
    built = {
        "strength_info",
        "variation_strength_info",
        "state_starting",
        "state_loading",
        "state_ready",
        "state_failed",
    }  # f"state_{phase}"
    built |= {f"sampler_{name}" for name in SAMPLER_NAMES}
    fields = set(SamplingParams.__dataclass_fields__)
    refusals = set(MESSAGES) | set(PictureError.MESSAGES) | set(MetadataError.MESSAGES)
    spoken_by_words = {"seconds", "minutes"}
    unused = (
        {key for key in (sections("en")["generate"] | sections("en")["errors"]) if f'"{key}"' not in code}
        - built
        - fields
        - refusals
        - spoken_by_words
    )
    assert not unused


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
