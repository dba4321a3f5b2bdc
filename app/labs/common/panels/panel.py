"""What every lab tab has in common: panels of controls and views, one sentence for a fault, links that restore it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar
from urllib.parse import quote

import gradio as gr

from app.labs.common.panels.plot_card import FORMULA, QUIET
from app.schemas import RequestError
from app.service import Service
from app.ui.status import line_html
from app.ui.translation import Translation, language

Updates = dict[Any, Any]
Shared = dict[str, Any]  # controls that several panels of a lab read, by name


class Panel:
    """Controls on the left, a view on the right, an explanation under it.

    A subclass lays both out and answers `draw`; it redraws whenever one of `controls` is moved. Words it needs, by its
    `key`: `{key}_title`, `{key}_text`, and `{key}_ask` with `{key}_answer` for the folded question.
    """

    key: ClassVar[str]
    redraws: ClassVar[bool] = True  # whether moving a control draws the panel anew

    def __init__(self, service: Service, translation: Translation, shared: Shared) -> None:
        self.service, self.translation, self.shared = service, translation, shared
        self.controls: dict[str, Any] = {}  # name in a link → component; the arguments of `draw`
        self.uploads: dict[str, gr.File] = {}  # further arguments of `draw`, paths or None; in no link
        self.outputs: list[Any] = []  # what `draw` may update
        self.redraw_token: gr.Number  # a change of it draws the panel anew; made when the page is wired
        with gr.Column(elem_id=f"panel-{self.key}", elem_classes="panel"):
            translation.make(gr.Markdown, {"value": f"{self.key}_title"}, elem_classes="panel-title")
            with gr.Column(elem_classes="panel-body"):
                with gr.Column(elem_classes="panel-controls"):
                    self.lay_controls()
                with gr.Column(elem_classes="panel-view"):
                    self.note = gr.HTML(elem_classes="panel-note")
                    self.lay_view()
            translation.make(
                gr.Markdown, {"value": f"{self.key}_text"}, latex_delimiters=FORMULA, elem_classes="panel-text"
            )
            with translation.make(gr.Accordion, {"label": f"{self.key}_ask"}, open=False, elem_classes="predict"):
                translation.make(gr.Markdown, {"value": f"{self.key}_answer"}, latex_delimiters=FORMULA)

    def lay_controls(self) -> None:
        """Make the controls and put them into `controls`."""
        raise NotImplementedError

    def lay_view(self) -> None:
        """Make what shows the result and put it into `outputs`."""
        raise NotImplementedError

    def draw(self, lang: str, **values: Any) -> Updates:
        """Updates of `outputs` for the controls' values; RequestError becomes one sentence in place."""
        raise NotImplementedError

    def wire(self) -> None:
        """Events beyond redrawing: buttons that ask the model."""

    def slider(self, name: str, low: float, high: float, value: float, step: float) -> Any:
        """A slider called `name` in links, with the words `{name}_label` and `{name}_info`."""
        words = {"label": f"{name}_label", "info": f"{name}_info"}
        self.controls[name] = self.translation.make(
            gr.Slider, words, minimum=low, maximum=high, value=value, step=step, buttons=[],
            elem_id=f"{self.key}-{name}", min_width=160,
        )  # fmt: skip
        return self.controls[name]

    def upload(self, name: str) -> None:
        """A picture the person may give, called `name` in `draw`; without one it is the shipped picture."""
        words = {"label": "picture_label"}
        self.uploads[name] = self.translation.make(
            gr.File, words, file_types=["image"], height=100, elem_id=f"{self.key}-{name}"
        )

    @property
    def inputs(self) -> dict[str, Any]:
        """What `draw` gets: components by the names of its arguments."""
        return {**self.controls, **self.uploads}

    def redraw(self, request: gr.Request, *values: Any) -> Updates:
        """Gradio's way into `draw`."""
        lang = language(request, self.service.settings.lang)
        return self.guarded(lang, lambda: self.draw(lang, **dict(zip(self.inputs, values, strict=True))))

    def guarded(self, lang: str, work: Any) -> Updates:
        """work()'s updates, with the note cleared; or the note alone, saying why there are none."""
        try:
            return {self.note: "", **work()}
        except RequestError as error:
            return {self.note: line_html(error.sentence.says(lang), "failed")}


@dataclass(frozen=True)
class Lab:
    """A tab: its key names it in links and words (`{key}_tab`, `{key}_intro`)."""

    key: str
    panels: Sequence[type[Panel]]


class LabTab:
    """A lab on the page."""

    def __init__(self, lab: Lab, service: Service, translation: Translation) -> None:
        self.lab = lab
        shared: Shared = {}
        self.tab = translation.make(gr.Tab, {"label": f"{lab.key}_tab"}, id=lab.key)
        with self.tab, gr.Column(elem_classes="lab", elem_id=f"lab-{lab.key}"):
            intro = {"value": f"{lab.key}_intro"}
            translation.make(gr.Markdown, intro, latex_delimiters=FORMULA, elem_classes="lab-intro")
            self.panels = [panel(service, translation, shared) for panel in lab.panels]
            self._link_button(translation)

    @property
    def controls(self) -> dict[str, Any]:
        """Every control of the lab by its name in a link; a shared one once."""
        return {name: component for panel in self.panels for name, component in panel.controls.items()}

    def wire(self, language_switched: Any) -> None:
        """Redraw when a person moves a control, opens the tab, or has changed the language.

        What calls for a redraw changes the `redraw_token` of each panel it concerns, and that number's one event draws.
        Where several functions wait for the same event, Gradio (6.31) asks all of them again whenever one was busy:
        they kept each other busy for good.
        """
        for panel in self.panels:
            panel.redraw_token = gr.Number(0, visible="hidden", show_label=False)
            inputs, outputs = list(panel.inputs.values()), [panel.note, *panel.outputs]
            panel.redraw_token.change(panel.redraw, inputs, outputs, trigger_mode="always_last", **QUIET)
            panel.wire()
        asking: dict[tuple[Any, ...], list[Any]] = {}  # numbers that change together → the events that change them
        asking[tuple(self.redraw_tokens)] = [self.tab.select]
        redrawn = [panel for panel in self.panels if panel.redraws]
        for control in dict.fromkeys(c for panel in redrawn for c in panel.inputs.values()):
            concerned = tuple(p.redraw_token for p in redrawn if control in p.inputs.values())
            asking.setdefault(concerned, []).append(moved(control))
        for numbers, events in asking.items():
            gr.on(events, fn=None, js=ask(len(numbers)), outputs=list(numbers), api_visibility="private")
        language_switched.then(
            fn=None, js=ask(len(self.redraw_tokens)), outputs=self.redraw_tokens, api_visibility="private"
        )

    @property
    def redraw_tokens(self) -> list[gr.Number]:
        """What makes each panel redraw when it changes."""
        return [panel.redraw_token for panel in self.panels]

    def _link_button(self, translation: Translation) -> None:
        with gr.Row(elem_classes="buttons"):
            button = translation.make(gr.Button, {"value": "copy_link"}, size="sm", min_width=120, scale=0)
        names = json.dumps(list(self.controls))
        button.click(
            fn=None,
            inputs=list(self.controls.values()),
            js=f"(...values) => window.latentLab.copyLink({json.dumps(self.lab.key)}, {names}, values)",
            api_visibility="private",
        )


def ask(panels: int) -> str:
    """JavaScript that gives so many panels a number they have not had."""
    return f"() => Array({panels}).fill(window.latentLab.count())"


def moved(control: Any) -> Any:
    """The event of a person's doing: lists that a redraw brings up to date must not call for the next one.

    A file and a kept value know `change` alone; a text, which no redraw writes, says `input` a keystroke late (6.31).
    """
    return control.change if isinstance(control, (gr.Textbox, gr.File, gr.State)) else control.input


def link_state(query: Mapping[str, str], tabs: Sequence[LabTab]) -> tuple[LabTab | None, Updates]:
    """The lab a link names (?lab=schedules&state={"t":400}) and updates for its controls; what does not fit is left."""
    tab = next((t for t in tabs if t.lab.key == query.get("lab")), None)
    if tab is None:
        return None, {}
    try:
        state = json.loads(query.get("state", "{}"))
    except ValueError:
        state = {}
    named = state.items() if isinstance(state, dict) else ()
    controls = tab.controls
    return tab, {controls[name]: value for name, value in named if name in controls and _fits(controls[name], value)}


def _fits(component: Any, value: Any) -> bool:
    if isinstance(component, gr.Slider):
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        return number and component.minimum <= value <= component.maximum
    if isinstance(component, (gr.Dropdown, gr.Radio, gr.CheckboxGroup)):
        choices = [choice for _, choice in component.choices]
        return all(v in choices for v in (value if isinstance(value, list) else [value]))
    return isinstance(value, bool) if isinstance(component, gr.Checkbox) else isinstance(value, (str, int, float))


def link(lab: str, state: Mapping[str, Any]) -> str:
    """The query of a link that opens a lab with these values."""
    return f"?lab={lab}&state={quote(json.dumps(dict(state)))}"
