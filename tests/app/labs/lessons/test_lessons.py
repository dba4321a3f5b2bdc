"""Lessons: their links open what they name, and their numbers are ldm_core's."""

from __future__ import annotations

import json
import math
import re
from html import unescape
from pathlib import Path
from urllib.parse import parse_qs

import gradio as gr
import numpy as np
import pytest

from app.labs.common.schedules import KINDS
from app.labs.common.shared_results import SharedResults
from app.labs.lessons.lessons import LESSONS, REFERENCE
from app.labs.lessons.numbers import digits, numbers
from app.labs.lessons.panels import LESSON_OF, lesson_html
from app.ui.lab_tab import LabTab, link_state
from app.ui.labs import LABS
from app.widgets.translation import Translation
from ldm_core.diffusion.schedule import NoiseSchedule
from ldm_core.models.latent_diffusion import LatentDiffusion
from ldm_core.presets import EMOJI_128, SD_SCHEDULE, TINY
from tests.app.ui.fake import FakeService

DOCUMENT = Path("docs/where-the-reference-is-wrong.md")
SD = NoiseSchedule.from_config(SD_SCHEDULE)


@pytest.fixture(scope="module")
def tabs(tmp_path_factory: pytest.TempPathFactory) -> list[LabTab]:
    service = FakeService(tmp_path_factory.mktemp("out"))
    service.pipe = None  # type: ignore[attr-defined]
    with gr.Blocks():
        return [LabTab(lab, service, Translation("en"), SharedResults(service)) for lab in LABS]  # type: ignore[arg-type]


def test_every_lab_has_a_lesson():
    assert {*LESSONS} == {LESSON_OF.get(lab.key, lab.key) for lab in LABS}


def test_a_lesson_is_about_a_panel_of_its_lab():
    panels = {LESSON_OF.get(lab.key, lab.key): {panel.key for panel in lab.panels} for lab in LABS}
    assert all(lesson.panel in {"", *panels[key]} for key, lesson in LESSONS.items())


@pytest.mark.parametrize("lang", ["en", "zh"])
@pytest.mark.parametrize("lesson", LESSONS)
def test_links_open_their_lab_with_every_value(tabs: list[LabTab], lesson: str, lang: str):
    html = lesson_html(lesson, numbers(lesson, TINY), lang)
    moves = [*LESSONS[lesson].moves, *(move for move in REFERENCE.values() if lesson == "reference" and move)]
    links = re.findall(r'href="\?([^"]+)"', html)
    assert len(links) == len(moves) > 0
    for address, move in zip(links, moves, strict=True):
        query = {name: values[0] for name, values in parse_qs(unescape(address)).items()}
        tab, updates = link_state(query, tabs)
        assert query["lang"] == lang and tab is not None and tab.lab.key == move.lab
        assert {tab.controls[name]: value for name, value in move.state.items()} == updates
    assert html.count("<details>") == 2
    assert "{" not in html and "—" not in html


def test_digits():
    assert [digits(x, n) for x, n in ((294.77, 4), (2.94e-5, 2), (0.0, 3), (1e12, 2))] == [
        "294.8",
        "2.9·10⁻⁵",
        "0",
        "1·10¹²",
    ]


def test_numbers_of_the_schedules():
    said = numbers("schedules", TINY)
    assert abs(int(said["linear"]) - int(np.flatnonzero(SD.snr < 1)[0])) <= 1
    assert int(said["sqrt"]) < int(said["sqrt_linear"]) < int(said["linear"]) < int(said["cosine"])
    assert int(said["doubled"]) < 0.9 * int(said["linear"])
    assert int(said["sqrt"]) - 2 <= int(said["doubled_sqrt"]) < int(said["sqrt"])


def test_numbers_of_the_bound():
    said = numbers("lower_bound", TINY)
    for t in (1, 998):
        assert said[f"w{t}"] == digits(0.5 * (SD.snr[t - 1] - SD.snr[t]), 3)
        a = SD.alphas_cumprod[t]
        assert said[f"p{t}"] == digits(0.5 * a**0.5 / (2 - a), 3)
    assert int(said["half"]) < 10 < int(said["half_p"])


def test_numbers_of_the_discriminator():
    said = numbers("losses", TINY)
    assert (said["hinge0"], said["hinge2"]) == ("0.5", "0")
    assert said["vanilla0"] == digits(0.5 * math.log(2), 3)
    assert said["vanilla2"] == digits(0.5 * math.log1p(math.exp(-2)), 3)


def test_numbers_of_the_loaded_model():
    assert numbers("autoencoder", EMOJI_128) == {"pixels": "49,152", "latent": "1,024", "factor": "48"}
    said = numbers("architecture", TINY)
    unet = LatentDiffusion(TINY).model.diffusion_model
    assert said["unet"] == f"{sum(p.numel() for p in unet.parameters()) / 1e6:.3g}"
    assert 4 <= float(said["growth"]) < 16
    said = numbers("denoising", TINY)
    trained = NoiseSchedule.from_config(TINY.schedule)
    assert said["s10"] == digits(trained.alphas_cumprod[int(said["t10"])] ** 0.5, 3)


def test_numbers_about_the_reference_are_the_documents():
    """Those of the document are computed by tests/diffusion/test_reference_errors.py."""
    document = DOCUMENT.read_text().replace("−", "-")
    said = numbers("reference", TINY)
    for name, value in said.items():
        if name not in ("count", "distinct"):
            assert re.search(rf"(?<![\d.]){re.escape(value)}(?![\d.]\d)", document), (name, value)
    assert said["distinct"] == "100"


def test_every_lab_draws_the_lesson_beside_it(tabs: list[LabTab]):
    for tab in tabs:
        lesson = "reference" if tab.lab.key == "overview" else tab.lab.key
        assert f'data-lesson="{lesson}"' in tab.lesson.draw(None)  # type: ignore[arg-type]


@pytest.mark.parametrize(("old", "new"), [("bounds", "lower_bound"), ("grid", "xy_plot"), ("lessons", "overview")])
def test_links_of_the_first_release_still_open(tabs: list[LabTab], old: str, new: str):
    tab, _ = link_state({"lab": old, "state": "{}"}, tabs)
    assert tab is not None and tab.lab.key == new


def test_what_one_link_changes_another_sets_back():
    (first, doubled), linear, cosine = LESSONS["schedules"].moves, REFERENCE["linear"], REFERENCE["cosine"]
    assert linear is not None and cosine is not None
    left = {**doubled.state, **cosine.state}
    for move, end in ((first, 0.012), (linear, 0.012), (doubled, 0.024)):
        after = {**left, **move.state}
        assert (after["kinds"], after["linear_end"]) == (list(KINDS), end)


def test_a_link_names_choices_that_come_later(tabs: list[LabTab]):
    """Those of Attention come with a drawing, runs and their metrics while the server runs."""
    tab, updates = link_state({"lab": "attention", "state": json.dumps({"token": "3", "layer": "x", "head": 2})}, tabs)
    assert tab is not None
    assert updates == {tab.controls["token"]: "3", tab.controls["layer"]: "x"}
    assert tab.controls["token"].preprocess("3") == "3"  # Gradio would refuse what is no choice yet
    tab, updates = link_state({"lab": "losses", "state": json.dumps({"runs": ["new"], "over": "x"})}, tabs)
    assert tab is not None and updates == {tab.controls["runs"]: ["new"]}
    assert link_state({"lab": "losses", "state": json.dumps({"runs": "new", "metrics": [1]})}, tabs)[1] == {}


def test_a_damaged_link_opens_its_lab_as_it_is(tabs: list[LabTab]):
    for state in ("{", "[1]", "7"):
        tab, updates = link_state({"lab": "schedules", "state": state}, tabs)
        assert tab is not None and updates == {}
