"""The labs of a kept generation, by their handlers: before a run, after one, and asked for what cannot be."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
import pytest

from app.engine.model import PipelineModel
from app.labs.architecture import panels as architecture
from app.labs.attention import panels as attention
from app.labs.common.panels.job_panel import JobPanel
from app.labs.common.panels.panel import Lab
from app.labs.common.shared_results import SharedResults
from app.labs.denoising import ddim_inversion
from app.labs.denoising import panels as denoising
from app.service import Service
from app.settings import Settings
from app.ui.lab_tab import LabTab
from app.widgets.translation import Translation
from ldm_core.metadata import write_png
from ldm_core.sampling import SamplingParams
from tests.app.engine.fake import Alone
from tests.tiny import tiny_pipeline


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    made: Path = tmp_path_factory.mktemp("out")
    service = Service(Settings(output_dir=made))
    service.loader.pipe = pipe = tiny_pipeline()
    service.engine.start(Alone(PipelineModel(pipe)))
    service.models.own = replace(service.models.own, limits=replace(service.limits, image_size=32))
    yield service
    service.close()


def laid(lab: Lab, service: Service, results: SharedResults | None = None) -> dict[str, Any]:
    with gr.Blocks():
        tab = LabTab(lab, service, Translation("en"), results or SharedResults(service))
        return {panel.key: panel for panel in tab.panels}


def press(panel: JobPanel, **values: Any) -> dict[Any, Any]:
    """What the button leaves on the page."""

    async def run() -> dict[Any, Any]:
        left: dict[Any, Any] = {}
        told = [values.get(name, getattr(component, "value", None)) for name, component in panel.inputs.items()]
        async for updates in panel.pressed(None, *told):  # type: ignore[arg-type]
            left |= updates
        return left

    return asyncio.run(run())


def test_denoising(service: Service):
    panels = laid(denoising.LAB, service)
    walked, scrub, fork = panels["walked"], panels["scrub"], panels["fork"]

    left = press(walked, walk_steps=3, walk_eta=0.5)
    kept = left[walked.kept.state]
    assert len(kept.steps) == 3
    assert left[walked.kept.step]["maximum"] == 3
    assert walked.button not in left, "awake before the event has ended, it would swallow a press"

    assert "scrub_plot" not in scrub.redraw(None, 2, kept)[scrub.card.caption]
    shown = scrub.redraw(None, 2, kept)[scrub.shown]
    assert shown.count("<img") == 8 and shown.count("colour-bar") == 5, "the change, and the channels of four latents"
    left = press(fork, fork_step=2, fork_prompt="", fork_eta=0.5, kept=kept)
    assert "end 0 RMS apart" in left[fork.card.caption]
    assert "step 1…3, not 9" in press(fork, fork_step=9, kept=kept)[fork.note]
    assert "Please type a prompt" in press(walked, walk_prompt=" ")[walked.note]


def test_the_model_reads_english(service: Service, monkeypatch: pytest.MonkeyPatch):
    panels = laid(denoising.LAB, service)
    left = press(panels["walked"], walk_steps=1, walk_prompt="一个红苹果")
    assert left[panels["walked"].kept.state].params.prompt == "a red apple"
    asked = []
    monkeypatch.setattr(ddim_inversion, "invert", lambda _pipe, _picture, prompt, *_: asked.append(prompt))
    for prompt in ("一个红苹果", ""):  # none stays none
        work, _ = panels["inversion"].make_job(picture=None, inversion_prompt=prompt, inversion_steps=2, refine=0)
        work(service.pipe)
    assert asked == ["a red apple", ""]
    path = laid(architecture.LAB, service)["path"]
    ids = [path.redraw(None, prompt)[path.table] for prompt in ("一个红苹果", "a (red:1.3) apple", "a red apple")]
    assert ids[0] == ids[1] == ids[2]


def test_what_an_opened_picture_has_otherwise_is_said(service: Service):
    walked = laid(denoising.LAB, service)["walked"]
    sha256 = service.pipe.weights_sha256  # type: ignore[union-attr]
    service.keeper._owners["opened.png"] = ""  # the page's, in a call without a request
    same = SamplingParams("a cat", steps=1, guidance_scale=5.0, seed=7, width=32)
    other = replace(same, sampler="heun", steps=2, height=64, negative_prompt="a dog")
    for request, sha, start, expected in (
        (same, sha256, "noise", ""),
        (other, sha256, "noise", "differs in: Sampler, Negative prompt, Steps, Height."),
        (same, "0" * 64, "picture", "differs in: Start picture, Model."),
    ):
        pixels = np.zeros((32, 32, 3), np.uint8)
        write_png(service.outputs / "opened.png", pixels, request, sha, "test", {"start": start})
        left = press(walked, walk_prompt="a cat", walk_steps=1, walk_guidance=5, walk_opened="opened.png")
        assert expected in left[walked.note] and ("relative" in left[walked.note]) is bool(expected)
        assert left[walked.controls["walk_opened"]] == ""
    assert "relative" not in press(walked, walk_steps=1)[walked.note], "the next run is the person's own"
    assert "relative" not in press(walked, walk_steps=1, walk_opened="gone.png")[walked.note]


def test_labs_open_drawn_and_one_job_serves_everybody(service: Service, monkeypatch: pytest.MonkeyPatch):
    asked = []
    ask = service.run_work
    monkeypatch.setattr(service, "run_work", lambda work: (asked.append(work), ask(work))[1])
    results = SharedResults(service)
    for lab in (denoising.LAB, attention.LAB, denoising.LAB):  # as three visitors would
        for panel in laid(lab, service, results).values():
            opening = {name: getattr(component, "value", None) for name, component in panel.inputs.items()}
            drawn = panel.redraw(None, *opening.values())
            assert any("<img" in str(value) for value in drawn.values()) or "listening" in panel.key, panel.key
            assert not drawn[panel.note] or "Steps kept: 20" in drawn[panel.note]
    names = ("walked", "scrub", "anatomy", "etas", "fork", "inversion", "read", "heat", "listening")
    assert len(asked) == len(names)


def test_a_result_of_an_earlier_generation_says_so(service: Service):
    panels = laid(denoising.LAB, service)
    walked, fork = panels["walked"], panels["fork"]
    old, new = (press(walked, walk_steps=2, walk_seed=seed)[walked.kept.state] for seed in (1, 2))
    last = press(fork, fork_step=1, kept=old)[fork.last]
    values = {name: getattr(component, "value", None) for name, component in fork.inputs.items()} | {"last": last}
    earlier = "Made from an earlier run"
    assert earlier not in fork.redraw(None, *(values | {"kept": old}).values())[fork.note]
    assert earlier in fork.redraw(None, *(values | {"kept": new}).values())[fork.note]
    assert fork.redrawn_by == [walked.kept.state], "a new generation has the note drawn"
    assert panels["inversion"].redrawn_by == []


def test_a_step_beyond_the_run_says_which_is_shown(service: Service):
    panels = laid(denoising.LAB, service)
    walked, scrub = panels["walked"], panels["scrub"]
    kept = press(walked, walk_steps=2)[walked.kept.state]
    assert "This run has 2 steps" in scrub.redraw(None, 3, kept)[scrub.note]
    assert scrub.redraw(None, 2, kept)[scrub.note] == ""


def test_a_page_keeps_showing_its_own_result(service: Service):
    walked = laid(denoising.LAB, service)["walked"]
    own = press(walked, walk_steps=2)[walked.last]
    inputs = {name: getattr(component, "value", None) for name, component in walked.inputs.items()} | {"last": own}
    assert "Steps kept: 2" in walked.redraw(None, *inputs.values())[walked.note]


def test_attention(service: Service):
    panels = laid(attention.LAB, service)
    heat, listening = panels["heat"], panels["listening"]
    kept = press(panels["read"], walk_steps=2, walk_prompt="a red apple")[panels["read"].kept.state]
    drawn = heat.redraw(None, 2, None, None, None, kept)
    token = drawn[heat.controls["token"]]
    assert [name for name, _ in token["choices"]] == ["[start]", "a", "red", "apple", "[end]", "[padding]"]
    assert token["value"] in ("2", "3")  # a word of the prompt
    assert "over the picture" in drawn[heat.shown]
    layer, head = drawn[heat.controls["layer"]]["choices"][1][1], "2"
    asked = heat.redraw(None, 2, "0", layer, head, kept)
    assert "value" not in asked[heat.controls["token"]], "what is asked for may have been changed meanwhile"
    assert (
        "Start, end and padding together take"
        in press(listening, kept=kept, layer=layer, head=head)[listening.card.caption]
    )
    for layer, head in (("x", "1"), (None, "x"), (None, "9")):  # as a link may have them
        assert "no such choice" in press(listening, kept=kept, layer=layer, head=head)[listening.note]
