"""Finished pictures as HTML: their files byte for byte, what is typed only as text."""

from __future__ import annotations

import base64
import json
from html import unescape
from pathlib import Path

import numpy as np

from app.metadata import read_png
from app.schemas import GeneratedImage, GenerateResult
from app.ui.picture_cards import Picture, facts_html, frame_html, history_html
from app.widgets.status import file_uri
from ldm_core.metadata import write_png
from ldm_core.sampling import SamplingParams

REQUEST = SamplingParams('<script>alert("x")</script> ${1} {{y}}', seed=7)


def test_the_frame_shows_the_file_byte_for_byte(tmp_path: Path):
    path = tmp_path / "a.png"
    write_png(path, np.zeros((8, 8, 3), np.uint8), REQUEST, "0" * 64, "1")
    result = GenerateResult(REQUEST, (GeneratedImage(path, 7, 8, 8),), 0.8, 25)
    assert file_uri(path) in frame_html(Picture.all_of(result), "en")
    copy = tmp_path / "b.png"
    copy.write_bytes(base64.b64decode(file_uri(path).split(",")[1]))
    assert read_png(copy)[0] == REQUEST


def test_facts_carry_settings_that_make_this_picture_alone():
    images = tuple(GeneratedImage(Path(f"{k}.png"), 5 + k, 128, 96) for k in range(3))
    picture = Picture.all_of(GenerateResult(SamplingParams("a", seed=5, batch=3), images, 0.8, 25))[1]
    html = facts_html(picture, "en")
    assert "Seed 6 · 128×96 · Steps 25 · 0.8 s" in html
    settings = json.loads(unescape(html.split('data-settings="')[1].split('"')[0]))
    assert SamplingParams.from_dict(settings) == SamplingParams("a", seed=6, batch=1)


def test_what_a_person_typed_is_only_text_in_the_history():
    params = SamplingParams('"><script>x</script>', seed=1)
    picture = Picture.all_of(GenerateResult(params, (GeneratedImage(Path('/out/a "b".png'), 1, 8, 8),), 0.1, 3))[0]
    html = history_html([picture], "en")
    assert "<script" not in html and 'a "b"' not in html
    assert json.loads(unescape(html.split('data-settings="')[1].split('"')[0]))["prompt"] == params.prompt
