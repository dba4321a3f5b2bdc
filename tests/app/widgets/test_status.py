"""Events and states as the page words them; nothing a person types becomes markup."""

from __future__ import annotations

import base64
import io
from html import unescape

import numpy as np
import pytest
from PIL import Image

from app.engine import Cancelled, Failed, Interrupted, Loading, Queued, Started, Stepped
from app.i18n import Sentence
from app.models.loader import State
from app.widgets.status import line_html, safe, state_html, view, waiting_html
from ldm_core.sampling import SamplingParams

REQUEST = SamplingParams('<script>alert("x")</script> ${1} {{y}}', seed=7)


def text_of(html: str) -> str:
    return unescape(" ".join(part.split(">")[-1] for part in html.split("<")))


@pytest.mark.parametrize(
    ("event", "words"),
    [
        (Queued(2, None), "place 2 in the queue"),
        (Queued(3, 12.0), "place 3 in the queue, about 12 s"),
        (Cancelled(0, 25, waiting=True), "You have left the queue."),
        (Started(25), "Starting · Steps 25"),
        (Stepped(14, 25, 1.0, 0.6, None), "Step 14/25 · 0.6 s left"),
        (Failed(Sentence("out_of_memory")), "No picture: Out of memory; try a smaller size or fewer images at once."),
        (Cancelled(3, 25), "Stopped after step 3 of 25."),
        (Interrupted(), "this picture goes on when it is back"),
    ],
)
def test_events_in_words(event: object, words: str):
    assert words in text_of(view(event, REQUEST, "en").line)  # type: ignore[arg-type]


def test_whoever_waits_with_one_of_several_is_told_as_much():
    html = waiting_html(Queued(3, 12.0), "en", "Cell 2 of 9 · ", 1 / 9)
    assert "Cell 2 of 9 · Waiting: place 3 in the queue, about 12 s" in text_of(html)
    assert 'data-left="12.0" data-said="Cell 2 of 9 · ' in html and 'aria-valuenow="11"' in html
    html = waiting_html(Loading("other", 0.4), "en", "Prompt 1 of 8: a cat · ", 0.0)
    assert "Prompt 1 of 8: a cat · Loading the model other: 40 %" in text_of(html) and 'aria-valuenow="0"' in html
    assert 'aria-valuenow="40"' in waiting_html(Loading("other", 0.4), "en"), "alone its bar is the loading's"


def test_progress_is_told_to_screen_readers():
    line = view(Stepped(14, 25, 1.0, 0.6, None), REQUEST, "en").line
    assert 'role="progressbar" aria-valuenow="56" aria-label="Step 14/25 · 0.6 s left"' in line


def test_preview_is_the_pixels_and_the_prompt_is_only_text():
    preview = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    frame = view(Stepped(1, 2, 1.0, 0.6, preview), REQUEST, "en").frame
    assert frame is not None
    shown = Image.open(io.BytesIO(base64.b64decode(frame.split("base64,")[1].split('"')[0])))
    assert np.array_equal(np.asarray(shown), preview)
    assert "<script" not in frame
    for sign in ("${", "{{", "`"):
        assert sign not in frame
    assert REQUEST.prompt in unescape(frame)


def test_header():
    ready = State("ready", Sentence("state_ready"), "emoji-128", "cpu", "bfloat16", 1.0)
    assert text_of(state_html(ready, "en")).split() == ["emoji-128", "·", "CPU", "bf16", "·", "ready"]
    loading = State("loading", Sentence("at_import"), "emoji-128", progress=0.1)
    assert "loading 10 %: importing torch" in state_html(loading, "en")
    assert "加载中 10 %：正在导入 torch" in state_html(loading, "zh")


def test_a_refusal_names_its_field():
    assert 'data-field="guidance-scale"' in line_html("no", "failed", field="guidance_scale")
    assert "data-field" not in line_html("no", "failed")


def test_safe_is_reversible():
    for text in ("a & b", "${x}", "{{#each}}", "`", "'\"", "猫"):
        assert unescape(safe(text)) == text


def test_seconds_in_the_queue_can_be_counted_down():
    html = view(Queued(3, 12.0), REQUEST, "zh").line
    said = unescape(html.partition('data-said="')[2].partition('"')[0])
    assert 'data-left="12.0"' in html and "{left}" in said and "3" in said
