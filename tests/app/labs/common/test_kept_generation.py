"""The labs of a kept generation, by their handlers: before a run, after one, and asked for what cannot be."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import gradio as gr
import pytest

from app.labs.attention import panels as attention
from app.labs.common.panels.job_panel import JobPanel
from app.labs.common.panels.panel import Lab, LabTab
from app.labs.denoising import panels as denoising
from app.service import Service
from app.settings import Settings
from app.ui.translation import Translation
from tests.tiny import tiny_pipeline


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    made: Path = tmp_path_factory.mktemp("out")
    service = Service(Settings(output_dir=made))
    service.pipe = tiny_pipeline()
    service.limits = replace(service.limits, image_size=32)
    yield service
    service.close()


def laid(lab: Lab, service: Service) -> dict[str, Any]:
    with gr.Blocks():
        return {panel.key: panel for panel in LabTab(lab, service, Translation("en")).panels}


def press(panel: JobPanel, **values: Any) -> dict[Any, Any]:
    """What the button leaves on the page."""

    async def run() -> dict[Any, Any]:
        left: dict[Any, Any] = {}
        told = [values.get(name, getattr(component, "value", None)) for name, component in panel.told.items()]
        async for updates in panel.pressed(None, *told):  # type: ignore[arg-type]
            left |= updates
        return left

    return asyncio.run(run())


def test_denoising(service: Service):
    panels = laid(denoising.LAB, service)
    scrub, fork = panels["scrub"], panels["fork"]
    assert "Run a generation first" in scrub.redraw(None, 3, None)[scrub.shown]
    assert "Run a generation first" in press(fork)[fork.note]

    left = press(panels["walked"], walk_steps=3, walk_eta=0.5)
    kept = left[panels["walked"].kept]
    assert len(kept.moments) == 3
    assert left[panels["walked"].shared["step"]]["maximum"] == 3
    assert left[panels["walked"].button]["interactive"]

    assert "scrub_plot" not in scrub.redraw(None, 2, kept)[scrub.card.caption]
    assert scrub.redraw(None, 2, kept)[scrub.shown].count("<img") == 8
    left = press(fork, fork_step=2, fork_prompt="", fork_eta=0.5, kept=kept)
    assert "end 0 RMS apart" in left[fork.card.caption]
    assert "step 1…3, not 9" in press(fork, fork_step=9, kept=kept)[fork.note]
    assert "Please type a prompt" in press(panels["walked"], walk_prompt=" ")[panels["walked"].note]


def test_attention(service: Service):
    panels = laid(attention.LAB, service)
    heat, listening = panels["heat"], panels["listening"]
    assert "Run a generation first" in heat.redraw(None, 3, None, None, None, None)[heat.shown]
    kept = press(panels["read"], walk_steps=2, walk_prompt="a red apple")[panels["read"].kept]
    drawn = heat.redraw(None, 2, None, None, None, kept)
    token = drawn[heat.controls["token"]]
    assert [name for name, _ in token["choices"]] == ["[start]", "a", "red", "apple", "[end]", "[padding]"]
    assert token["value"] == "3"  # the longest word
    assert "over the picture" in drawn[heat.shown]
    layer, head = drawn[heat.controls["layer"]]["choices"][1][1], "2"
    assert heat.redraw(None, 2, "0", layer, head, kept)[heat.controls["token"]]["value"] == "0"
    assert (
        "Start, end and padding together take"
        in press(listening, kept=kept, layer=layer, head=head)[listening.card.caption]
    )
