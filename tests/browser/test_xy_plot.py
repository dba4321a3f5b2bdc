"""The Grid lab in a real browser: it fills cell by cell with the service's own pictures, stops, and leaves its file."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from app.i18n import say
from app.labs.xy_plot.xy_plot import Axis, make_plan
from app.labs.xy_plot.xy_sheet import Sheet
from app.metadata import read_png
from ldm_core.metadata import KEY
from ldm_core.pipeline import Pipeline
from ldm_core.sampling import Limits, SamplingParams
from tests.app.serving import Served
from tests.browser.driving import choose, note, open_lab, pixels, set_slider, unfold

pytestmark = pytest.mark.browser
FILLED = "#sheet-shown img[data-filled='{}']"


def set_text(page: Page, name: str, text: str) -> None:
    box = page.locator(f"#sheet-{name}").locator("textarea, input").first
    box.fill(text)
    box.press("Tab")


def test_a_grid_fills_cell_by_cell_and_carries_its_parameters(labs: Page, pipe: Pipeline, tmp_path: Path):
    open_lab(labs, "xy_plot")
    expect(labs.locator(FILLED.format(8))).to_be_visible()  # it opens drawn
    set_text(labs, "grid_prompt", "a red apple")
    choose(labs, "sheet-y_axis", "Seed")
    expect(labs.locator("#sheet-y_values").locator("textarea, input").first).to_have_value("7, 8, 9")
    set_text(labs, "x_values", "20, 40")
    set_text(labs, "y_values", "7, 8")
    expect(labs.locator("#sheet-estimate")).to_contain_text("Cells: 2 × 2 = 4 (at most 64); steps together: 120.")
    labs.click("#sheet-run")
    some = ", ".join(FILLED.format(cells) for cells in (1, 2, 3))  # which of them are seen is chance
    expect(labs.locator(some)).to_be_visible()
    expect(labs.locator(FILLED.format(4))).to_be_visible()
    expect(labs.locator("#sheet-line")).to_contain_text("Cells made: 4, in")
    expect(labs.locator("#sheet-run")).to_be_enabled()
    expect(labs.locator("#sheet-stop")).to_be_disabled()
    with labs.expect_download() as download:
        labs.click("#sheet-download")
    download.value.save_as(tmp_path / "grid.png")

    base, _ = read_png(tmp_path / "grid.png")
    assert base == SamplingParams("a red apple", steps=12, guidance_scale=5.0, seed=7, width=32, height=32)
    with Image.open(tmp_path / "grid.png") as image:
        axes = json.loads(image.text[KEY])["grid"]  # type: ignore[attr-defined]
        sheet = np.asarray(image).astype(np.int64)
    assert (pixels(labs.locator("#sheet-shown img")) == sheet).all()
    x, y = (Axis(axes[place]["axis"], tuple(axes[place]["values"])) for place in "xy")
    assert (x, y, axes["filled"]) == (Axis("steps", (20, 40)), Axis("seed", (7, 8)), 4)
    plan = make_plan(base, x, y, None, Limits())
    left, top = Sheet(plan, 32, "en").place(plan.cells[1])
    alone = pipe.generate("a red apple", steps=40, seed=7)[0].astype(np.int64)
    assert np.abs(sheet[top : top + 32, left : left + 32] - alone).max() <= 2


def test_a_cell_is_the_picture_of_the_generate_tab(labs: Page, served: Served):
    """Both through the service: a level apart at most, whoever shared their calls."""
    open_lab(labs, "xy_plot")
    set_text(labs, "grid_prompt", "a red apple")
    choose(labs, "sheet-y_axis", say("en", "axis_none"))
    choose(labs, "sheet-x_axis", say("en", "axis_words"))
    set_text(labs, "x_values", "apple, pear")
    set_slider(labs, "sheet-grid_steps", 3)
    expect(labs.locator("#sheet-estimate")).to_contain_text("Cells: 2 × 1 = 2 (at most 64); steps together: 6")
    labs.click("#sheet-run")
    expect(labs.locator("#sheet-line")).to_contain_text("Cells made: 2, in")
    sheet = pixels(labs.locator("#sheet-shown img"))
    made = SamplingParams("a red pear", steps=3, seed=7, width=32, height=32)
    base = replace(made, prompt="a red apple")
    plan = make_plan(base, Axis("words", ("apple", "pear")), None, None, Limits())
    left, top = Sheet(plan, 32, "en").place(plan.cells[1])
    open_lab(labs, "generate")
    labs.fill("#prompt textarea", made.prompt)
    unfold(labs)
    set_slider(labs, "steps", 3)
    choose(labs, "batch", "1")
    labs.fill("#seed input", "7")
    labs.click("#generate")
    expect(labs.locator(".line.done").first).to_be_visible()
    alone = pixels(labs.locator("#stage .frame:not(.forming) img"))
    assert np.abs(sheet[top : top + 32, left : left + 32].astype(int) - alone.astype(int)).max() <= 1


def test_stop_keeps_the_cells_that_are_there(labs: Page):
    open_lab(labs, "xy_plot")
    choose(labs, "sheet-x_axis", "Seed")
    set_text(labs, "x_values", "1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16")
    choose(labs, "sheet-y_axis", "Eta")
    set_slider(labs, "sheet-grid_steps", 60)
    labs.click("#sheet-run")
    before = ", ".join(FILLED.format(cells) for cells in (0, 2, 8))  # 2 are the last test's, 8 it opens with
    expect(labs.locator("#sheet-shown img[data-filled]").and_(labs.locator(f":not({before})"))).to_be_visible()
    labs.click("#sheet-stop")
    line = labs.locator("#sheet-line")
    expect(line).to_contain_text(re.compile(r"Stopped\. Cells filled: \d+ of 48\."))
    expect(labs.locator("#sheet-run")).to_be_enabled()
    expect(labs.locator("#sheet-download")).to_be_enabled()
    open_lab(labs, "generate")  # the worker is free
    labs.fill("#prompt textarea", "a red apple")
    labs.click("#generate")
    expect(labs.locator(".line.done").first).to_be_visible()


def test_bad_values_are_one_sentence_in_place(labs: Page):
    open_lab(labs, "xy_plot")
    choose(labs, "sheet-x_axis", "Steps")
    for text, sentence in {
        "5, ten": "X axis: Steps must be a number, not “ten”.",
        "0": "Steps must be at least 1, not",
        " ": "X axis: type at least one value",
        ",".join(map(str, range(1, 60))): "177 cells are too many; at most 64 are allowed",
    }.items():
        set_text(labs, "x_values", text)
        expect(note(labs, "sheet")).to_contain_text(sentence)
    set_text(labs, "x_values", "5")
    expect(note(labs, "sheet").locator(".failed")).to_have_count(0)


def test_a_link_restores_the_axes(labs: Page):
    state = {"x_axis": "sampler", "x_values": "ddim, magic", "y_axis": "none", "grid_sampler": "heun"}
    labs.goto(f"{labs.url.split('?')[0]}?lab=xy_plot&state={json.dumps(state)}")
    expect(note(labs, "sheet")).to_contain_text("There is no sampler 'magic'")
    expect(labs.locator("#sheet-grid_sampler input")).to_have_value("heun")
