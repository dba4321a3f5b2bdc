"""The form filled from a file, from pasted text and from a picture of the page's own: what fits, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from app.ui.fields import FIELDS
from app.ui.generate import GenerateTab
from app.ui.refill import Refill
from app.widgets.translation import Translation
from ldm_core.metadata import KEY, write_png
from ldm_core.sampling import Limits, SamplingParams
from tests.app.ui.fake import FakeService, asked_in


@pytest.fixture
def refill(tmp_path: Path) -> Iterator[Refill]:
    service = FakeService(tmp_path)
    with gr.Blocks(analytics_enabled=False) as blocks:
        tab = GenerateTab(blocks, service, Translation("en"))  # type: ignore[arg-type]
    yield tab.refill
    service.engine.close()


def said(refill: Refill, updates: dict[Any, Any]) -> str:
    return unescape(updates[refill.stage.line])


@pytest.mark.parametrize(
    ("settings", "english", "chinese"),
    [
        (None, "carries no Latent Lab settings", "不带 Latent Lab 的设置"),
        ("not json", "are damaged", "已损坏"),
        (
            json.dumps({"request": {"prompt": "a", "steps": 0}, "weights_sha256": "", "version": ""}),
            "Steps",
            "采样步数",
        ),
    ],
)
def test_bad_settings_in_a_png(refill: Refill, tmp_path: Path, settings: str | None, english: str, chinese: str):
    info = PngImagePlugin.PngInfo()
    if settings is not None:
        info.add_itxt(KEY, settings)
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png", pnginfo=info)
    for lang, words in (("en", english), ("zh", chinese)):
        updates = refill.restore(str(tmp_path / "a.png"), asked_in(lang))
        assert words in said(refill, updates)
        assert set(updates) == {refill.stage.line}


@pytest.mark.parametrize(
    ("more", "weights", "says"),
    [
        ({"start": "noise", "runtime": "torch"}, "ab", "makes the same picture again"),
        ({"start": "picture"}, "ab", "began from a picture, which the file does not hold"),
        ({"start": "picture and mask"}, "ab", "load that picture and paint the same part"),
        ({"start": "<b>"}, "ab", "does not say whether it began from a picture"),
        ({"start": "noise"}, "cd", "made with other weights"),
        ({"start": "noise", "runtime": "openvino"}, "ab", "Another runtime made it"),
    ],
)
def test_a_restored_file_promises_only_what_it_can(
    refill: Refill, tmp_path: Path, more: dict[str, str], weights: str, says: str
):
    refill.service.pipe = SimpleNamespace(weights_sha256="ab", runtime="torch")  # type: ignore[assignment]
    write_png(tmp_path / "a.png", np.zeros((8, 8, 3), np.uint8), SamplingParams("a", seed=1), weights, "1.0", more)
    line = said(refill, refill.restore(str(tmp_path / "a.png"), asked_in("en")))
    assert says in line and ("same picture again" in line) == (says == "makes the same picture again")


@pytest.mark.parametrize("setting", [{"timestep_spacing": "trailing"}, {"guidance_interval": (0.2, 0.8)}, {"label": 0}])
def test_a_setting_the_form_lacks_is_said(refill: Refill, tmp_path: Path, setting: dict[str, Any]):
    made, more = SamplingParams("a", seed=1, **setting), {"start": "noise"}
    write_png(tmp_path / "a.png", np.zeros((8, 8, 3), np.uint8), made, "ab", "1.0", more)
    for lang, words in (("en", "this form does not have"), ("zh", "此表单没有")):
        line = said(refill, refill.restore(str(tmp_path / "a.png"), asked_in(lang)))
        assert words in line and "same picture again" not in line and "同一张" not in line


@pytest.mark.parametrize("asked", [["use"], "use", 3, {"do": "use", "settings": [1]}, {"do": "vary", "settings": "a"}])
def test_a_damaged_action_is_refused(refill: Refill, asked: Any):
    refused = refill.act(asked, asked_in("en"))
    assert set(refused) == {refill.done, refill.stage.line} and "prompt" in said(refill, refused)
    assert refused[refill.done] == "", "the page goes on from there"


def test_the_large_view_fills_the_form_and_refuses_what_cannot_be(refill: Refill):
    settings = SamplingParams("a cat", seed=3).to_dict()
    used = refill.act({"do": "use", "settings": settings}, asked_in("en"))
    assert (used[refill.form["prompt"]], used[refill.form["seed"]]) == ("a cat", "3")
    varied = refill.act({"do": "vary", "settings": settings}, asked_in("en"))
    assert varied[refill.form["variation_strength"]] > 0 and varied[refill.form["variation_seed"]]
    refused = refill.act({"do": "use", "settings": settings | {"steps": 0}}, asked_in("en"))
    assert set(refused) == {refill.done, refill.stage.line} and "Steps must be at least 1" in refused[refill.stage.line]
    assert (used[refill.done], varied[refill.done], refused[refill.done]) == ("use", "vary", "")
    assert "cleaned up" in refill.act({"do": "start", "file": "../x"}, asked_in("en"))[refill.stage.line]


def test_pasted_settings_fill_the_form_as_far_as_they_fit(refill: Refill):
    text = "a cat\nSteps: 12, Sampler: Euler a, CFG scale: 7, Seed: 5, Size: 512x516"
    filled = refill.fill(text, "", asked_in("en"))
    values = {name: filled[component] for name, component in zip(FIELDS, refill.form.fields, strict=True)}
    assert (values["prompt"], values["steps"], values["sampler"], values["seed"]) == ("a cat", 12, "euler_a", "5")
    assert (values["width"], values["height"]) == (128, 128)
    assert "Steps must be at least 1" in said(refill, refill.fill("a\nSteps: 0, Seed: 1", "", asked_in("en")))


def test_pasted_settings_are_for_the_model_that_is_chosen(refill: Refill, monkeypatch: pytest.MonkeyPatch):
    other = Limits(image_size=512, max_side=1024, guidance_scale=7.5)
    monkeypatch.setattr(refill.service, "limits_of", lambda model: other if model == "other" else Limits())
    text = "a cat\nSteps: 12, Sampler: Euler a, Seed: 5, Size: 960x960"
    filled = refill.fill(text, "other", asked_in("en"))
    assert refill.form.model not in filled, "it stays chosen"
    assert (filled[refill.form["width"]], filled[refill.form["guidance_scale"]]) == (960, 7.5)
    assert "Size" not in said(refill, filled)


@pytest.mark.parametrize(
    ("start", "setting", "canvas", "missing"),
    [
        ("noise", {}, None, ""),
        ("picture", {}, None, "It began from a picture"),
        ("picture and mask", {}, {"background": None, "layers": []}, "load that picture and paint the same part"),
        ("picture", {}, "loaded", ""),
        ("noise", {}, "loaded", "It did not begin from a picture"),
        ("noise", {"timestep_spacing": "trailing"}, None, "this form does not have"),
    ],
)
def test_the_large_view_says_what_it_could_not_fill(
    refill: Refill, start: str, setting: dict[str, Any], canvas: Any, missing: str
):
    made = SamplingParams("a cat", seed=3, **setting)
    write_png(refill.service.outputs / "a.png", np.zeros((8, 8, 3), np.uint8), made, "", "1.0", {"start": start})
    if canvas == "loaded":
        canvas = {"background": str(refill.service.outputs / "a.png"), "layers": []}
    asked = {"settings": made.to_dict(), "file": "a.png"}
    used = refill.act({**asked, "do": "use"}, asked_in("en"), canvas)
    assert said(refill, used).count("are in the form.") == 1 and missing in said(refill, used)
    offered = bool(missing) and start != "noise"
    assert ("Load that picture" in said(refill, used)) is offered
    varied = refill.act({**asked, "do": "vary"}, asked_in("en"), canvas)
    assert varied[refill.form["variation_strength"]] > 0
    assert varied[refill.done] == ("use" if missing else "vary"), "it starts by itself only as a variation of this one"
    assert missing in said(refill, varied)
