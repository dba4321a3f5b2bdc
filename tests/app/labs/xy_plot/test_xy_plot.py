"""A grid's plan, its sheet, and its cells against the pictures that the same requests give alone."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
import pytest
import torch
from PIL import Image

from app.engine.model import PipelineModel
from app.fonts import chinese_font, fitted, latin_font
from app.labs.common.cross_schedule import cross_schedule_grid, sample_on_schedule
from app.labs.common.shared_results import SharedResults
from app.labs.xy_plot import panels as grid
from app.labs.xy_plot import xy_plot as plans
from app.labs.xy_plot.xy_plot import Axis, make_plan, read_axis
from app.labs.xy_plot.xy_sheet import Sheet
from app.metadata import read_png
from app.schemas import RequestError
from app.service import Service
from app.settings import Settings
from app.ui.lab_tab import LabTab
from app.widgets.job_watchers import stop_series
from app.widgets.translation import Translation
from ldm_core.config import MAX_SEED
from ldm_core.diffusion.samplers import SAMPLERS
from ldm_core.diffusion.schedule import NoiseSchedule, make_beta_schedule
from ldm_core.metadata import KEY
from ldm_core.pipeline import Pipeline, finish
from ldm_core.sampling import SAMPLER_NAMES, Limits, SamplingParams
from tests.app.engine.fake import Alone
from tests.app.labs.studies import answer
from tests.tiny import tiny_pipeline

BASE = SamplingParams("a red apple on red", steps=3, seed=7, width=32, height=32)
LIMITS = Limits(samplers=tuple(SAMPLERS))


def test_names_are_the_librarys():
    assert tuple(SAMPLERS) == SAMPLER_NAMES
    assert set(grid.EXAMPLES) == {"none", *plans.AXES}


@pytest.mark.parametrize("name", plans.AXES)
def test_what_an_axis_begins_with_can_be_planned(name: str):
    plan = make_plan(BASE, read_axis("x", name, grid.EXAMPLES[name]), None, None, LIMITS)
    assert len(plan.cells) == len(grid.EXAMPLES[name].split(","))


def test_values_are_read():
    assert read_axis("x", "steps", " 5, 10 ，20,") == Axis("steps", (5, 10, 20))
    assert read_axis("y", "eta", "0,.5,1e0") == Axis("eta", (0.0, 0.5, 1.0))
    assert read_axis("z", "seed", str(MAX_SEED)) == Axis("seed", (MAX_SEED,))
    assert read_axis("x", "words", '"red apple, big", pear') == Axis("words", ("red apple, big", "pear"))
    assert read_axis("x", "none", "5") is None
    assert Axis("eta", (0.0, 0.25)).labels() == ["0", "0.25"]
    assert Axis("seed", (MAX_SEED,)).labels() == [str(MAX_SEED)]


def test_cells_by_rows_sheet_after_sheet():
    axes = Axis("steps", (3, 6)), Axis("words", ("red", "blue")), Axis("schedule", ("uniform", "quad"))
    plan = make_plan(BASE, *axes, LIMITS)
    assert plan.shape == (2, 2, 2)
    assert plan.steps == 4 * (3 + 6)
    assert [(c.column, c.row, c.sheet) for c in plan.cells[:5]] == [
        (0, 0, 0),
        (1, 0, 0),
        (0, 1, 0),
        (1, 1, 0),
        (0, 0, 1),
    ]
    assert plan.cells[0].request == BASE
    assert plan.cells[3].request == replace(BASE, steps=6, prompt="a blue apple on blue")
    assert [c.schedule for c in plan.cells] == ["uniform"] * 4 + ["quad"] * 4
    assert plan.record(3) == {
        "x": {"axis": "steps", "values": [3, 6]},
        "y": {"axis": "words", "values": ["red", "blue"]},
        "z": {"axis": "schedule", "values": ["uniform", "quad"]},
        "cells": 8,
        "filled": 3,
    }


@pytest.mark.parametrize(
    ("axes", "english", "chinese"),
    [
        (
            [("steps", "5, ten")],
            "X axis: Steps must be a number, not “ten”.",
            "X 轴：采样步数必须是数字，不能是“ten”。",
        ),
        ([("eta", "nan")], "X axis: Eta must be a number, not “nan”.", "不能是“nan”"),
        ([("steps", "2.5")], "Steps must be a whole number, not “2.5”.", "采样步数必须是整数"),
        ([("steps", "0")], "Steps must be at least 1, not 0.", "采样步数至少为 1，不能是 0。"),
        ([("seed", "-1")], f"Seed must lie between 0 and {MAX_SEED}, not -1.", "随机种子必须在"),
        ([("steps", "1e999")], "X axis: Steps must be a number", "X 轴"),
        ([("seed", ",".join(map(str, range(65))))], "65 cells are too many; at most 64 are allowed", "65 格太多"),
        ([("seed", "1,2,3,4,5,6,7,8,9"), ("eta", "0,.1,.2,.3,.4,.5,.6,.7")], "72 cells are too many", "72 格太多"),
        ([("sampler", "ddim, magic")], "There is no sampler 'magic'; choose one of ddim", "没有名为 'magic' 的采样器"),
        ([("schedule", "warm")], "There is no sampling schedule 'warm'; choose from uniform", "没有名为 'warm'"),
        ([("schedule", "cosine"), ("sampler", "heun")], "only be walked by the sampler ddim, not by heun", "只能用"),
        ([("steps", " , ")], "X axis: type at least one value", "X 轴：请至少输入一个值"),
        ([("steps", "5"), ("eta", "")], "Y axis: type at least one value", "Y 轴：请至少输入一个值"),
        ([("words", "pear, star")], "X axis: the prompt does not contain “pear”", "提示词里没有“pear”"),
        ([("steps", "5"), ("steps", "6")], "Steps stands on two axes", "采样步数出现在两条轴上"),
        ([("colour", "5")], "X axis: there is nothing named colour", "没有名为 colour 的设置"),
        ([("none", "5")], "Choose at least one axis.", "请至少选择一条轴。"),
        ([("words", "x" * 1001)], "X axis is 1001 characters long", "X 轴有 1001 个字符"),
    ],
)
def test_what_cannot_be_planned_is_one_sentence(axes: list[tuple[str, str]], english: str, chinese: str):
    with pytest.raises(RequestError) as caught:
        read = [read_axis(place, *axis) for place, axis in zip("xyz", axes, strict=False)]
        make_plan(BASE, *[*read, None, None][:3], LIMITS)
    assert english in str(caught.value)
    assert chinese in caught.value.sentence.says("zh")


def test_a_sheet_has_labels_and_its_cells():
    plan = make_plan(BASE, Axis("steps", (3, 6)), Axis("eta", (0.0, 1.0)), Axis("seed", (1, 2)), LIMITS)
    sheet = Sheet(plan, 32, "en")
    places = [sheet.place(cell) for cell in plan.cells]
    assert len(set(places)) == 8
    assert places[4][0] > max(left for left, _ in places[:4]) + 32  # the second sheet stands beside the first
    before = sheet.pixels().copy()
    for k, cell in enumerate(plan.cells):
        sheet.paste(cell, np.full((32, 32, 3), 10 * k, np.uint8))
    after = sheet.pixels().copy()
    for k, (left, top) in enumerate(places):
        assert (after[top : top + 32, left : left + 32] == 10 * k).all()
        after[top : top + 32, left : left + 32] = before[top : top + 32, left : left + 32]
    assert (after == before).all()  # nothing else has changed
    left, top = places[0]
    assert before[:top].min() < 60 and before[top : top + 32, :left].min() < 60  # labels above and at the left
    assert sheet.filled == 8
    small = sheet.pixels(most=5000)
    assert small.shape[0] * small.shape[1] <= 1.2 * 5000


def test_labels_that_are_too_long_are_cut():
    font = latin_font(14)
    assert fitted("star", font, 100) == "star"
    cut = fitted("a very long word " * 5, font, 100)
    assert cut.endswith("…") and font.getlength(cut) <= 100


def test_chinese_labels_only_where_a_font_has_them(monkeypatch: pytest.MonkeyPatch):
    plan = make_plan(BASE, Axis("steps", (3,)), None, None, LIMITS)
    english = Sheet(plan, 64, "en").pixels()
    monkeypatch.setattr("app.fonts.CHINESE_FONTS", ())
    chinese_font.cache_clear()
    assert (Sheet(plan, 64, "zh").pixels() == english).all()
    chinese_font.cache_clear()


@pytest.fixture(scope="module")
def pipe() -> Pipeline:
    return tiny_pipeline()


def test_scheduled_pictures_are_the_pipelines_own(pipe: Pipeline):
    made, steps = answer(sample_on_schedule(pipe, BASE, "trailing"))
    expected = pipe.decode(finish(pipe.stream(BASE.prompt, steps=3, seed=7, timestep_spacing="trailing")))[0]
    assert (made == expected).all()
    assert [step.i for step in steps] == [1, 2, 3]
    made, _ = answer(sample_on_schedule(pipe, replace(BASE, eta=0.5), "linear"))  # what the model was trained on
    expected = pipe.decode(finish(pipe.stream(BASE.prompt, steps=3, seed=7, eta=0.5)))[0]
    assert np.abs(made.astype(int) - expected.astype(int)).max() <= 2
    other, _ = answer(sample_on_schedule(pipe, BASE, "cosine"))
    assert np.abs(other.astype(int) - expected.astype(int)).max() > 2


def test_noise_of_other_schedules_is_ddims(pipe: Pipeline):
    trained = pipe.schedule
    own, made = trained.grid("uniform", 10, 0.7), cross_schedule_grid(trained, trained, 10, 0.7)
    torch.testing.assert_close(made.sigma, own.sigma, rtol=1e-3, atol=1e-5)
    cosine = NoiseSchedule(make_beta_schedule("cosine", trained.num_timesteps))
    assert cross_schedule_grid(trained, cosine, 50, 1.0).sigma.isfinite().all()  # noisier levels than the trained ones


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, pipe: Pipeline) -> Iterator[Service]:
    made: Path = tmp_path_factory.mktemp("out")
    service = Service(Settings(output_dir=made))
    service.loader.pipe = pipe
    service.engine.start(Alone(PipelineModel(pipe)))
    small = replace(service.limits, image_size=32, samplers=tuple(SAMPLERS))
    service.models.own = replace(service.models.own, limits=small)
    yield service
    service.close()


@pytest.fixture(scope="module")
def panel(service: Service) -> grid.XYPlotPanel:
    with gr.Blocks():
        (panel,) = LabTab(grid.LAB, service, Translation("en"), SharedResults(service)).panels
    assert isinstance(panel, grid.XYPlotPanel)
    return panel


def values(panel: grid.XYPlotPanel, **others: Any) -> list[Any]:
    small = {"grid_steps": 2, "x_values": "1, 2", "y_values": "1, 5"}
    return [(small | others).get(name, component.value) for name, component in panel.controls.items()]


def press(panel: grid.XYPlotPanel, stop_after: int = 99, **others: Any) -> list[dict[Any, Any]]:
    async def run() -> list[dict[Any, Any]]:
        seen = []
        async for updates in panel.pressed(None, *values(panel, **others)):  # type: ignore[arg-type]
            seen.append(updates)
            if sum("data-filled" in str(u.get(panel.shown, "")) for u in seen) > stop_after:
                stop_series(next(u[panel.series] for u in seen if panel.series in u))
        return seen

    return asyncio.run(run())


def test_a_grid_is_filled_and_its_file_says_how(panel: grid.XYPlotPanel, service: Service):
    seen = press(panel)
    shown = [u[panel.shown] for u in seen if panel.shown in u]
    assert [f'data-filled="{k}"' in html for k, html in enumerate(shown)] == [True] * 5
    path = Path(next(u[panel.download]["value"] for u in seen if "value" in u.get(panel.download, {})))
    base, about = read_png(path)
    assert about["weights_sha256"] == service.pipe.weights_sha256  # type: ignore[union-attr]
    with Image.open(path) as image:
        record = json.loads(image.text[KEY])  # type: ignore[attr-defined]
        assert "Size: 32x32" in image.text["parameters"]  # type: ignore[attr-defined]
        sheet = np.asarray(image)
    assert record["grid"] == {
        "x": {"axis": "steps", "values": [1, 2]},
        "y": {"axis": "guidance_scale", "values": [1.0, 5.0]},
        "cells": 4,
        "filled": 4,
    }
    plan = make_plan(base, *(Axis(a["axis"], tuple(a["values"])) for a in map(record["grid"].get, "xy")), None, LIMITS)
    for cell in plan.cells:  # the file alone is enough to make every cell again, as the Generate tab makes it
        job = service.submit(cell.request)
        while not job.done:
            pass
        left, top = Sheet(plan, 32, "en").place(cell)
        with Image.open(job.events[-1].result.images[0].path) as alone:  # type: ignore[union-attr]
            assert (sheet[top : top + 32, left : left + 32] == np.asarray(alone)).all()
    assert seen[-1] == {panel.series: None}
    assert not any(panel.run in u for u in seen), "awake before the event has ended, it would swallow a press"


def test_stop_keeps_what_is_there_and_frees_the_worker(panel: grid.XYPlotPanel, service: Service):
    seen = press(panel, stop_after=1, grid_steps=2, x_axis="seed", x_values="1,2,3,4", y_axis="none")
    assert "Stopped. Cells filled: 1 of 4." in [u[panel.line] for u in seen if panel.line in u][-1]
    assert any("value" in u.get(panel.download, {}) for u in seen)
    assert seen[-1][panel.series] is None
    job = service.submit(BASE)
    while not job.done:
        pass


def test_another_language_leaves_a_filled_sheet_be(panel: grid.XYPlotPanel):
    assert not any(component is panel.shown for component in panel.translation.components)


def test_columns_of_a_chinese_prompt_are_of_one_english_prompt(
    panel: grid.XYPlotPanel, monkeypatch: pytest.MonkeyPatch
):
    asked = []

    def watched(pipe: Pipeline, request: SamplingParams, schedule: str) -> Any:
        asked.append(request.prompt)
        return sample_on_schedule(pipe, request, schedule)

    monkeypatch.setattr("app.labs.common.cross_schedule.sample_on_schedule", watched)
    press(panel, grid_prompt="一个红苹果", x_axis="schedule", x_values="uniform, trailing", y_axis="none")
    assert asked == ["a red apple"]


def test_faults_and_the_estimate_stand_in_place(panel: grid.XYPlotPanel):
    seen = press(panel, x_values="five")
    assert "X axis: Steps must be a number, not “five”." in next(u[panel.note] for u in seen if u.get(panel.note))
    left = panel.redraw(None, *values(panel), False)  # type: ignore[arg-type]
    assert left[panel.estimate] == "Cells: 2 × 2 = 4 (at most 64); steps together: 6."
    assert 'data-filled="0"' in left[panel.shown]
    left = panel.redraw(None, *values(panel, x_values=""), True)  # type: ignore[arg-type]
    assert "X axis: type at least one value" in left[panel.note] and left[panel.estimate] == ""
    assert panel.shown not in left


def test_the_opening_sheet_is_filled_once_for_all(
    panel: grid.XYPlotPanel, service: Service, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(panel.controls["grid_steps"], "value", 2)
    monkeypatch.setattr(panel.controls["x_values"], "value", "1, 2")
    asked = []
    monkeypatch.setattr(service, "run_work", lambda work: asked.append(work) or answer(work(service.pipe))[0])
    opening = [component.value for component in panel.controls.values()]
    for _ in range(3):
        assert 'data-filled="4"' in panel.redraw(None, *opening, False)[panel.shown]  # type: ignore[arg-type]
    assert len(asked) == 1
