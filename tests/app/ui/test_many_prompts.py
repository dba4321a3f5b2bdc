"""A list of prompts through the page's own functions: every line made, one sheet, one zip, faults in one sentence."""

from __future__ import annotations

import asyncio
import zipfile
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
import pytest
from PIL import Image

from app.engine import Done, Job
from app.metadata import read_png
from app.ui.fields import values_from
from app.ui.form import Form
from app.ui.many_prompts import GAP, LABEL, ManyPrompts, prompt_sheet
from app.widgets.job_watchers import JobSeries, stop_series
from app.widgets.translation import Translation
from ldm_core.sampling import Limits, SamplingParams
from tests.app.ui.fake import FakeService
from tests.app.ui.test_generate import asked_in

VALUES = values_from(SamplingParams("not read", steps=2, batch=2), Limits())
CAT = "一只猫"


@pytest.fixture
def many(tmp_path: Path) -> Iterator[ManyPrompts]:
    service: Any = FakeService(tmp_path)
    translation = Translation("en")
    with gr.Blocks(analytics_enabled=False):
        form = Form(service.limits, translation, None)
        form.ask([])
        form.controls()
        made = ManyPrompts(service, translation, form)
    yield made
    service.engine.close()


def run(many: ManyPrompts, text: str, stop_at: int | None = None) -> list[dict[Any, Any]]:
    async def watch() -> list[dict[Any, Any]]:
        seen: list[dict[Any, Any]] = []
        series = None
        async for updates in many.run(asked_in("en"), text, "", *VALUES):
            seen.append(updates)
            series = updates.get(many.series) or series
            if stop_at is not None and f"Prompt {stop_at} of" in str(updates.get(many.line)):
                stop_series(series)
        return seen

    return asyncio.run(asyncio.wait_for(watch(), 60))


def last(many: ManyPrompts, seen: list[dict[Any, Any]]) -> str:
    return unescape([u[many.line] for u in seen if u.get(many.line)][-1])


def test_every_line_is_made_with_one_seed(many: ManyPrompts, tmp_path: Path):
    seen = run(many, f"a cat\n\n  {CAT} \n")
    assert "Prompts made: 2 of 2." in last(many, seen)
    finished = next(u for u in seen if many.zip in u)
    with zipfile.ZipFile(finished[many.zip]["value"]) as archive:
        names = archive.namelist()
        archive.extractall(tmp_path / "out")
    assert [name[:3] for name in names] == ["01-", "01-", "02-", "02-"]
    made = [read_png(tmp_path / "out" / name)[0] for name in names]
    assert [m.prompt for m in made] == ["a cat", "a cat", CAT, CAT]
    assert made[0].seed == made[2].seed and made[1].seed == made[3].seed == (made[0].seed or 0) + 1
    with Image.open(finished[many.sheet]["value"]) as sheet:
        assert sheet.size == (GAP + 2 * (128 + GAP), GAP + 2 * (LABEL + 128 + GAP))


def test_a_picture_deleted_meanwhile_is_left_out(many: ManyPrompts):
    results = [many.service.submit(SamplingParams(p, steps=1, seed=k)).wait() for k, p in enumerate(("a", "b"))]
    made = [end.result for end in results if isinstance(end, Done)]
    made[0].images[0].path.unlink()
    files = many._finish(made, "en")
    with zipfile.ZipFile(files[many.zip]["value"]) as archive:
        assert [name[:3] for name in archive.namelist()] == ["02-"]
    made[1].images[0].path.unlink()
    assert many._finish(made, "en") == {}


def test_stop_keeps_what_is_there(many: ManyPrompts):
    many.service.step_seconds = 0.3  # the second is under way when Stop comes
    seen = run(many, "one\ntwo\nthree", stop_at=2)
    assert "Prompts made: 1 of 3." in last(many, seen)
    assert seen[-1] == {many.series: None} and any(many.zip in u for u in seen)


def test_a_prompt_that_waits_says_its_place(many: ManyPrompts):
    many.service.step_seconds = 0.1
    blocking = many.service.submit(SamplingParams("first", steps=5))
    said = [unescape(str(u[many.line])) for u in run(many, "a cat") if many.line in u]
    assert blocking.done and any("Prompt 1 of 1: a cat · Waiting: place 1 in the queue" in line for line in said)


def test_stop_while_a_prompt_is_submitted_stops_that_one_too(many: ManyPrompts, monkeypatch: pytest.MonkeyPatch):
    many.service.step_seconds = 0.1
    submit, series, jobs = many.service.submit, JobSeries(many.service), list[Job]()

    def slowly(params: SamplingParams, **about: Any) -> Job:
        jobs.append(submit(params, **about))
        if len(jobs) == 2:
            stop_series(series)  # before the page knows the second job
        return jobs[-1]

    monkeypatch.setattr(many.service, "submit", slowly)
    monkeypatch.setattr("app.ui.many_prompts.JobSeries", lambda _: series)
    assert "Prompts made: 1 of 3." in last(many, run(many, "one\ntwo\nthree"))
    assert [job.cancelled.is_set() for job in jobs] == [False, True]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("  \n", "Type at least one prompt"),
        ("a\n" * 51, "51 prompts are too many"),
        ("good\nfail\nnever", "always fails"),
    ],
)
def test_faults_are_one_sentence(many: ManyPrompts, text: str, sentence: str):
    seen = run(many, text)
    assert sentence in last(many, seen)
    assert not any(many.start in u for u in seen), "awake before the event has ended, it would swallow a press"


def test_a_sheet_has_a_row_a_prompt():
    red, blue = np.full((16, 16, 3), (255, 0, 0), np.uint8), np.full((16, 16, 3), (0, 0, 255), np.uint8)
    sheet = np.asarray(prompt_sheet([("one", [red, blue]), ("two", [blue])]))
    first, second = GAP + LABEL, GAP + LABEL + 16 + GAP + LABEL
    assert (sheet[first : first + 16, GAP : GAP + 16] == red).all()
    assert (sheet[first : first + 16, GAP + 16 + GAP :][:, :16] == blue).all()
    assert (sheet[second : second + 16, GAP : GAP + 16] == blue).all()
