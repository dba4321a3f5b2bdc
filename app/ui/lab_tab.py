"""A lab on the page: its lesson, its panels, and the events that draw them."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl

import gradio as gr

from app.labs.common.panels.context import LabContext
from app.labs.common.panels.links import read_link
from app.labs.common.panels.panel import Lab
from app.labs.common.panels.plot_card import FORMULA, wire_files
from app.labs.common.shared_results import SharedResults
from app.labs.lessons.panels import LESSON_OF, LessonCard
from app.service import Service
from app.widgets.events import LOCAL, QUIET, Updates
from app.widgets.translation import Translation

LINKED = itertools.count(1)  # below zero, numbers that nothing else gives the panels: a link draws what it opens


class LabTab:
    """A lab on the page."""

    def __init__(self, lab: Lab, service: Service, translation: Translation, results: SharedResults) -> None:
        self.lab, self._service = lab, service
        self._context = context = LabContext(service, translation, results)
        self.tab = translation.make(gr.Tab, {"label": f"{lab.key}_tab"}, id=lab.key)
        with self.tab, gr.Column(elem_classes="lab", elem_id=f"lab-{lab.key}"):
            intro = {"value": f"{lab.key}_intro"}
            translation.make(gr.Markdown, intro, latex_delimiters=FORMULA, elem_classes="lab-intro")
            self.lesson = LessonCard(LESSON_OF.get(lab.key, lab.key), service, translation)
            self.panels = [panel(context) for panel in lab.panels]
            self._link_button(translation)

    @property
    def controls(self) -> dict[str, Any]:
        """Every control of the lab by its name in a link; a shared one once."""
        return self._context.controls

    def wire(self, language_switched: Any) -> None:
        """Redraw when a person moves a control or opens the tab.

        What calls for a redraw changes the `redraw_token` of each panel it concerns, and that number's one event draws.
        Where several functions wait for the same event, Gradio (6.31) asks all of them again whenever one was busy:
        they kept each other busy for good.
        """
        self.lesson.wire(language_switched)
        wire_files([card for panel in self.panels for card in panel.plot_cards], self._service, self.lab.key)
        for panel in self.panels:
            panel.redraw_token = gr.Number(0, visible="hidden", show_label=False)
            inputs, outputs = list(panel.inputs.values()), [panel.note, *panel.outputs]
            panel.redraw_token.change(panel.redraw, inputs, outputs, trigger_mode="always_last", **QUIET)
            panel.wire()
        asking: dict[tuple[Any, ...], list[Any]] = {}  # numbers that change together → the events that change them
        asking[tuple(self.redraw_tokens)] = [self.tab.select]
        for control in dict.fromkeys(c for panel in self.panels for c in panel.redrawn_by):
            concerned = tuple(panel.redraw_token for panel in self.panels if control in panel.redrawn_by)
            asking.setdefault(concerned, []).append(moved(control))
        for numbers, events in asking.items():
            gr.on(events, js=ask(len(numbers)), outputs=list(numbers), **LOCAL)
        if controls := list(self.controls.values()):  # what they hold outlives a reload
            gr.on([c.change for c in controls], inputs=controls, js=self._js("keepLab"), **LOCAL)
        redraw = gr.Button(visible="hidden", elem_id=f"redraw-{self.lab.key}")  # pressed by `redrawShown` in labs.js
        redraw.click(js=ask(len(self.redraw_tokens)), outputs=self.redraw_tokens, **LOCAL)

    @property
    def redraw_tokens(self) -> list[gr.Number]:
        """What makes each panel redraw when it changes."""
        return [panel.redraw_token for panel in self.panels]

    def _link_button(self, translation: Translation) -> None:
        with gr.Row(elem_classes="buttons"):
            words, place = {"value": "copy_link"}, f"link-{self.lab.key}"
            button = translation.make(gr.Button, words, size="sm", min_width=120, scale=0, elem_id=place)
        button.click(inputs=list(self.controls.values()), js=self._js("copyLink"), **LOCAL)

    def _js(self, function: str) -> str:
        """JavaScript that gives one of the page's functions the lab, its controls' names and their values."""
        names = json.dumps(list(self.controls))
        return f"(...values) => window.latentLab.{function}({json.dumps(self.lab.key)}, {names}, values)"


def ask(panels: int) -> str:
    """JavaScript that gives so many panels a number they have not had."""
    return f"() => Array({panels}).fill(window.latentLab.count())"


def moved(control: Any) -> Any:
    """The event of a person's doing: lists that a redraw brings up to date must not call for the next one.

    A file and a kept value know `change` alone; a text, which no redraw writes, says `input` a keystroke late (6.31).
    """
    return control.change if isinstance(control, (gr.Textbox, gr.File, gr.State)) else control.input


def link_state(query: Mapping[str, str], tabs: Sequence[LabTab]) -> tuple[LabTab | None, Updates]:
    """The lab a link's query names and updates for its controls; values that do not fit are left out."""
    lab, state = read_link(query)
    tab = next((t for t in tabs if t.lab.key == lab), None)
    if tab is None:
        return None, {}
    controls, late = tab.controls, [name for panel in tab.panels for name in panel.late_choices]
    known = {name: value for name, value in state.items() if name in controls}
    return tab, {controls[k]: value for k, value in known.items() if _fits(controls[k], value, k in late)}


def _fits(component: Any, value: Any, late: bool) -> bool:
    """`late`: a list may have, or soon have, other choices than it was made with."""
    if isinstance(component, gr.Slider):
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        return number and component.minimum <= value <= component.maximum
    if isinstance(component, (gr.Dropdown, gr.Radio, gr.CheckboxGroup)):
        chosen = value if isinstance(value, list) else [value]
        if late:
            several = bool(getattr(component, "multiselect", False))
            return isinstance(value, list) == several and all(isinstance(v, str) for v in chosen)
        choices = [choice for _, choice in component.choices]
        return all(v in choices for v in chosen)
    return isinstance(value, bool) if isinstance(component, gr.Checkbox) else isinstance(value, (str, int, float))


class LabTabs:
    """All labs on the page, which draw when they are opened and in another language; a link opens one of them."""

    def __init__(self, labs: Sequence[Lab], service: Service, translation: Translation) -> None:
        results = SharedResults(service)
        self.tabs = [LabTab(lab, service, translation, results) for lab in labs]

    def wire(self, blocks: gr.Blocks, page_tabs: gr.Tabs, language_switched: Any) -> None:
        """Every lab's events, and those of links."""
        self._page_tabs = page_tabs
        for tab in self.tabs:
            tab.wire(language_switched)
        numbers = [number for tab in self.tabs for number in tab.redraw_tokens]
        controls = list(dict.fromkeys(c for tab in self.tabs for c in tab.controls.values()))
        language_switched.then(js="() => window.latentLab.redrawShown()", **LOCAL)
        outputs = [page_tabs, *controls, *numbers]
        link = gr.Textbox(visible="hidden", elem_id="lab-link")  # the page's own script writes a link's query into it
        blocks.load(self.follow, link, outputs, js="() => window.latentLab.openedWith()", **QUIET)
        link.change(self.follow, link, outputs, **QUIET)  # `input` comes a keystroke late (6.31)

    def follow(self, address: str) -> Updates:
        """What a link opens, within the page or as its own address."""
        query = dict(parse_qsl(address.lstrip("?")))
        if query.get("lab") in ("generate", "history"):
            return {self._page_tabs: gr.Tabs(selected=query["lab"])}
        tab, values = link_state(query, self.tabs)
        if tab is None:
            return {self._page_tabs: gr.skip()}
        drawn: Updates = dict.fromkeys(tab.redraw_tokens, -next(LINKED))
        return {self._page_tabs: gr.Tabs(selected=tab.lab.key), **values, **drawn}
