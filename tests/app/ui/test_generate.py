"""Bad input through the page's own functions: one sentence in the page's language, and the next request is served."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from html import unescape
from pathlib import Path
from typing import Any

import gradio as gr
import pytest
from PIL import Image

from app.engine import Requester
from app.history import History
from app.schemas import GeneratedImage, GenerateResult
from app.settings import Settings
from app.ui.fields import FIELDS, values_from
from app.ui.generate import GenerateTab
from app.ui.picture import RECALLED
from app.ui.picture_cards import Picture
from app.widgets.translation import Translation
from ldm_core.sampling import Limits, SamplingParams
from tests.app.test_images import huge_png
from tests.app.ui.fake import FakeService, asked_in, made

GOOD = dict(zip(FIELDS, values_from(SamplingParams("a", steps=2, seed=7), Limits()), strict=True))


@pytest.fixture
def tab(tmp_path: Path) -> Iterator[GenerateTab]:
    service = FakeService(tmp_path)
    with gr.Blocks(analytics_enabled=False) as blocks:
        tab = GenerateTab(blocks, service, Translation("en"))  # type: ignore[arg-type]
    yield tab
    service.engine.close()


def run(
    tab: GenerateTab, values: dict[str, Any], lang: str = "en", canvas: Any = None, kept: Any = None
) -> list[dict[Any, Any]]:
    async def watch() -> list[dict[Any, Any]]:
        return [updates async for updates in tab.run(asked_in(lang), [], kept, canvas, "", *values.values())]

    return asyncio.run(asyncio.wait_for(watch(), 60))


FACTS = {"seed": 7, "width": 8, "height": 8, "steps": 2, "took": 1}


def line(tab: GenerateTab, updates: list[dict[Any, Any]]) -> str:
    html = [u[tab.stage.line] for u in updates if tab.stage.line in u][-1]
    return unescape(html.partition("<span")[2].partition(">")[2].partition("</span>")[0])


@pytest.mark.parametrize(
    ("fault", "english", "chinese"),
    [
        ({"prompt": ""}, "Please type a prompt", "请输入提示词"),
        ({"prompt": "x" * 200_000}, "Prompt is 200000 characters long; at most 2000", "提示词有 200000 个字符"),
        ({"steps": 0}, "Steps must be at least 1, not 0.", "采样步数至少为 1，不能是 0。"),
        ({"steps": None}, "Steps must be a number.", "采样步数必须是数字。"),
        ({"guidance_scale": float("nan")}, "not NaN or infinity", "不能是 NaN 或无穷大"),
        ({"width": 7}, "Width must be a multiple of 32", "宽必须是 32 的倍数"),
        ({"sampler": "<b>"}, "There is no sampler '<b>'", "没有名为 '<b>' 的采样器"),
    ],
)
def test_bad_fields(tab: GenerateTab, fault: dict[str, Any], english: str, chinese: str):
    for lang, words in (("en", english), ("zh", chinese)):
        updates = run(tab, GOOD | fault, lang)
        said = line(tab, updates)
        assert words in said and "\n" not in said and "Traceback" not in said
        assert set(updates[-1]) == {tab.stage.line}, "a refusal touches nothing else on the page"
    assert "Done in" in line(tab, run(tab, GOOD))


def test_a_run_that_is_stopped_leaves_nothing_of_the_picture_before(tab: GenerateTab):
    """Else “Take the picture shown” puts that on the canvas, under the preview of another; and one that leaves the
    queue before leaves all of it.
    """
    made = run(tab, GOOD)
    assert made[-1][tab.stage.shown].prompt == "a"
    for prompt, gone in (("fail", False), ("break", True)):  # before the first preview the old picture still stands
        held: dict[Any, Any] = {}
        for updates in run(tab, GOOD | {"prompt": prompt}):
            held |= updates
        assert [part in held for part in (tab.stage.shown, tab.stage.facts, tab.stage.frame)] == [gone] * 3
        assert held.get(tab.stage.shown) is None
    assert set(tab.refill.use_shown(None, asked_in("en"))) == {tab.stage.line}


def test_a_server_started_again_has_the_tab_s_pictures_from_the_tab(tab: GenerateTab):
    """A page that stands still meanwhile keeps what it shows; its session's memory is empty."""
    first = run(tab, GOOD)[-1][tab.stage.history]
    kept = {"all": [{"file": Path(first[0].path).name, "took": 0.5}], "frame": []}
    pictures = run(tab, GOOD | {"seed": "8"}, kept=kept)[-1][tab.stage.history]
    assert [picture.facts["seed"] for picture in pictures] == [8, 7]


def test_the_session_s_pictures_have_an_end(tab: GenerateTab):
    old = [Picture(f"{k}.png", "a", "{}", FACTS) for k in range(120)]
    new = replace(old[0], path="new.png")
    assert tab.stage.gather([new], old, "en")[tab.stage.history] == [new, *old[: RECALLED - 1]]


def test_what_becomes_of_other_pictures_during_a_run_stays(tab: GenerateTab, tmp_path: Path):
    """Deleted ones would come back, and favourites would be none any more."""
    service: Any = tab.service
    service.visitor = lambda: Requester("me", durable=True)
    service.history = History(tmp_path, Settings())
    names = [made(service, prompt) for prompt in ("an apple", "a pear")]
    before = [Picture(str(service.history.pictures / name), name, "{}", FACTS, False) for name in names]
    service.history.delete(names[0], "me")
    service.history.favour(names[1], "me", True)
    result = GenerateResult(SamplingParams("a", seed=7), (GeneratedImage(Path(before[1].path), 7, 8, 8),), 0.5, 2)
    updates = tab.finish(result, before, "en")
    assert updates[tab.stage.history] == [replace(before[1], favourite=True)], "also one whose run is told of again"
    assert 'data-favourite="true"' in updates[tab.stage.frame]
    service.history.close()


def test_a_kept_model_that_is_gone_gives_way(tab: GenerateTab):
    """Its choice may be hidden, where only one model is left."""
    left = tab.follow_model("a", "gone.safetensors", asked_in("en"))
    assert left[tab.form.model] == "" and "There is no model" in left[tab.stage.line]
    left = tab.follow_model("a", tab.service.models.own.name, asked_in("en"))  # in a link from another server
    assert left[tab.form.model] == "" and tab.stage.line not in left
    left = tab.follow_model("a", "", asked_in("en"))
    assert not {tab.form.model, tab.stage.line} & set(left)


def test_another_language_says_again_what_stands_at_pictures(tab: GenerateTab):
    stage, held = tab.stage, dict[Any, Any]()
    for updates in run(tab, GOOD):
        held |= updates
    job_id, history, shown = (held[part] for part in (tab.job_id, stage.history, stage.shown))

    def say_again(line: str, history: list[Picture] = history, kept: Any = None) -> dict[Any, Any]:
        return tab.say_again(job_id, history, kept, shown, line, asked_in("zh"))

    again = say_again(held[stage.line])
    assert "种子 7" in again[stage.facts] and "用时" in again[stage.line]
    for part in (stage.thumbs, stage.frame):
        assert "种子 7" in again[part] and "Seed 7" not in again[part]
    assert stage.line not in say_again("a refusal")
    assert 'data-favourite="true"' in say_again("", [replace(p, favourite=True) for p in history])[stage.frame]
    recalled = say_again("", [], {"all": [{"file": Path(shown.path).name}]})  # the server was started again
    assert recalled[stage.history] == [replace(shown, facts=shown.facts | {"took": 0.0})]
    Path(shown.path).unlink()
    assert "种子 7" in say_again(held[stage.line])[stage.facts]
    assert set(tab.say_again("", [], None, None, "", asked_in("zh"))) == {stage.history, stage.thumbs}


def test_bad_pictures(tab: GenerateTab, tmp_path: Path):
    text = tmp_path / "text.png"
    text.write_text("no picture")
    broken = tmp_path / "broken.png"
    Image.effect_noise((64, 64), 50).save(broken)
    broken.write_bytes(broken.read_bytes()[:500])
    huge = huge_png(tmp_path / "huge.png", 20_000, 10_000)
    for path, english, chinese in (
        (text, "not a picture that can be read", "不是可以读取的图片"),
        (broken, "incomplete or damaged", "不完整或已损坏"),
        (huge, "too many pixels; at most 50 megapixels", "最多 50 百万"),
    ):
        for lang, words in (("en", english), ("zh", chinese)):
            canvas = {"background": str(path), "layers": []}
            assert words in line(tab, run(tab, GOOD, lang, canvas))
    assert "Done in" in line(tab, run(tab, GOOD))


def test_a_size_is_checked_before_a_picture_of_it_is_made(tab: GenerateTab, tmp_path: Path):
    """At 120 GB the first picture of this size would be the last."""
    small = tmp_path / "small.png"
    Image.new("RGB", (64, 64)).save(small)
    canvas = {"background": str(small), "layers": []}
    assert "Width must be a multiple of 32" in line(
        tab, run(tab, GOOD | {"width": 200_000, "height": 200_000}, "en", canvas)
    )


def test_what_fails_while_it_runs(tab: GenerateTab):
    assert "this prompt always fails." in line(tab, run(tab, GOOD | {"prompt": "fail"}))
    assert "Done in" in line(tab, run(tab, GOOD))


def test_opening_the_page_turns_no_button(tab: GenerateTab):
    """Its answer may come late, when a run that was started meanwhile has already woken Stop."""

    async def opened() -> list[dict[Any, Any]]:
        return [updates async for updates in tab.resume(None, [], False, asked_in("en"))]

    for updates in asyncio.run(opened()):
        assert not {tab.form.generate, tab.form.stop} & set(updates)


@pytest.mark.parametrize("fault", [{"seed": -5}, {"seed": 99999999999}, {"seed": 1.5}, {"steps": 0}, {"width": 7}])
def test_a_refusal_stands_beside_its_field(tab: GenerateTab, fault: dict[str, Any]):
    (name,) = fault
    assert f'data-field="{name}"' in run(tab, GOOD | fault)[-1][tab.stage.line]


@pytest.mark.parametrize(("job", "said"), [("gone", "this run is lost"), ("", "before the run began")])
def test_a_lost_job_is_said(tab: GenerateTab, job: str, said: str):
    async def back() -> list[dict[Any, Any]]:
        return [updates async for updates in tab.resume(job, [], True, asked_in("en"))]

    (updates,) = asyncio.run(back())
    assert said in updates[tab.stage.line] and updates[tab.job_id] == ""


@pytest.mark.parametrize(
    ("durable", "said"),
    [
        (True, "The server is restarting; this picture goes on when it is back."),
        (False, "No picture: The server is ending; please try again in a moment."),
    ],
)
def test_a_run_that_the_server_s_end_cuts_off(tab: GenerateTab, durable: bool, said: str):
    """The journal's goes on in the next process, which the page sees by its line; any other is over."""
    service: Any = tab.service
    service.step_seconds = 0.01
    job = service.submit(SamplingParams("a", steps=1000))
    job.requester = Requester(durable=durable)

    async def watch() -> list[dict[Any, Any]]:
        seen = []
        async for updates in tab.resume(job.id, [], True, asked_in("en")):
            seen.append(updates)
            if "Step 1/1000" in str(updates.get(tab.stage.line)):
                await asyncio.to_thread(service.engine.close)
        return seen

    seen = asyncio.run(asyncio.wait_for(watch(), 60))
    assert line(tab, seen) == said
    assert ('class="line again"' in seen[-1][tab.stage.line]) is durable


def test_who_stops_in_the_queue_has_left_it(tab: GenerateTab):
    service: Any = tab.service
    service.step_seconds = 0.05
    first = service.submit(SamplingParams("in front", steps=200))

    async def watch() -> list[dict[Any, Any]]:
        seen: list[dict[Any, Any]] = []
        async for updates in tab.run(asked_in("en"), [], None, None, "", *GOOD.values()):
            seen.append(updates)
            if "Waiting: place 1" in str(updates.get(tab.stage.line)):
                tab.stop(next(u[tab.job_id] for u in seen if tab.job_id in u))
        return seen

    assert line(tab, asyncio.run(asyncio.wait_for(watch(), 60))) == "You have left the queue."
    service.cancel(first.id)
