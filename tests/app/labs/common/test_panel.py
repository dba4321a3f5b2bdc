"""Numbers of the labs' controls: judged by the panel in a sentence, never by the component, which ends the event."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gradio as gr
import pytest

from app.labs.common.panels.job_panel import JobPanel, StepPanel
from app.labs.common.panels.links import read_link
from app.labs.common.panels.panel import Panel
from app.labs.common.shared_results import SharedResults
from app.schemas import RequestError
from app.service import Service
from app.settings import Settings
from app.ui.lab_tab import LabTab
from app.ui.labs import LABS
from app.widgets.translation import Translation


@pytest.fixture(scope="module")
def panels(tmp_path_factory: pytest.TempPathFactory) -> list[Panel]:
    made: Path = tmp_path_factory.mktemp("out")
    service = Service(Settings(output_dir=made))
    with gr.Blocks(analytics_enabled=False):
        tabs = [LabTab(lab, service, Translation("en"), SharedResults(service)) for lab in LABS]
    return [panel for tab in tabs for panel in tab.panels]


@pytest.mark.parametrize("state", ["[" * 50_000, '{"t":' * 50_000, "{", "[1]", "9" * 5000])
def test_a_link_s_damaged_values_are_none(state: str):
    assert read_link({"lab": "bounds", "state": state}) == ("lower_bound", {})


def test_a_number_beyond_its_control_is_a_sentence_of_the_panel(panels: list[Panel]):
    tried = 0
    for panel in panels:
        values = {name: getattr(component, "value", None) for name, component in panel.inputs.items()}
        for name, control in panel.controls.items():
            if not isinstance(control, (gr.Slider, gr.Number)):
                continue
            beyond = [side for side in (control.minimum, control.maximum) if side is not None]
            wrong = [side + sign * 1e6 for side, sign in zip(beyond, (-1, 1), strict=False)]
            for value in (*wrong, math.nan, math.inf, "a", True, [1]):
                assert control.preprocess(value) is value  # type: ignore[arg-type]  # Gradio refuses none
                with pytest.raises(RequestError) as refused:
                    panel.read([*(values | {name: value}).values()])
                assert str(refused.value).startswith(str(panel.translation.label(control)))
                tried += 1
            assert panel.read([*values.values()])[name] == values[name]
    assert tried > 200


def named(function: Callable[..., Any], known: set[str]) -> tuple[set[str], bool]:
    """The keywords of a function that are none of `known`, and whether it takes any others too."""
    parameters = inspect.signature(function).parameters.values()
    more = any(p.kind is p.VAR_KEYWORD for p in parameters)
    return {p.name for p in parameters if p.kind is p.KEYWORD_ONLY} - known, more


def test_every_panel_is_drawn_with_the_names_of_its_inputs(panels: list[Panel]):
    for panel in panels:
        inputs, asked = set(panel.inputs), [(panel.draw, {"last", "kept"} & set(panel.inputs))]
        if isinstance(panel, JobPanel):
            asked += [(panel.make_job, {"last"}), (panel.on_result, {"last"})]
        elif isinstance(panel, StepPanel):
            asked += [(panel.draw_step, {"step", "kept"})]
        for function, elsewhere in asked:
            keywords, more = named(function, elsewhere)
            left = inputs - elsewhere
            assert keywords == left or (more and keywords <= left), (panel.key, function)
