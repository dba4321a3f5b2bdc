"""What every lab tab has in common: panels of controls and views, one sentence for a fault, links that restore it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

import gradio as gr

from app.i18n import Sentence
from app.labs.common.panels.context import LabContext
from app.labs.common.panels.plot_card import FORMULA, PlotCard
from app.labs.common.plot import Plot
from app.schemas import RequestError
from app.widgets.events import Updates, language
from app.widgets.raw_values import take_as_sent
from app.widgets.status import fault_html
from app.widgets.translation import Words
from ldm_core.config import MAX_SEED

C = TypeVar("C")


class Panel:
    """Controls on the left, a view on the right, an explanation under it.

    A subclass lays both out and answers `draw`; it redraws whenever one of `redrawn_by` changes. Words it needs, by its
    `key`: `{key}_title`, `{key}_text`, and `{key}_ask` with `{key}_answer` for the folded question.
    """

    key: ClassVar[str]
    late_choices: ClassVar[tuple[str, ...]] = ()  # controls whose choices come with a drawing, which judges them

    def __init__(self, context: LabContext) -> None:
        self.context = context
        self.service, self.translation, self.results = context.service, context.translation, context.results
        self.controls: dict[str, Any] = {}  # name in a link → component; the arguments of `draw`
        self.uploads: dict[str, gr.File] = {}  # further arguments of `draw`, paths or None; in no link
        self.outputs: list[Any] = []  # what `draw` may update; plots and placeholders add themselves
        self.plot_cards: list[PlotCard] = []
        self.redraw_token: gr.Number  # a change of it draws the panel anew; made when the page is wired
        with gr.Column(elem_id=f"panel-{self.key}", elem_classes="panel"):
            make = self.translation.make
            make(gr.Markdown, {"value": f"{self.key}_title"}, elem_classes="panel-title")
            with gr.Column(elem_classes="panel-body"):
                with gr.Column(elem_classes="panel-controls"):
                    self.lay_controls()
                with gr.Column(elem_classes="panel-view"):
                    self.note = gr.HTML(elem_classes="panel-note")
                    self.lay_view()
            make(gr.Markdown, {"value": f"{self.key}_text"}, latex_delimiters=FORMULA, elem_classes="panel-text")
            with make(gr.Accordion, {"label": f"{self.key}_ask"}, open=False, elem_classes="predict"):
                make(gr.Markdown, {"value": f"{self.key}_answer"}, latex_delimiters=FORMULA)
        for control in self.controls.values():
            if isinstance(control, (gr.Slider, gr.Number)):  # a refusal of theirs would end the event before `read`
                take_as_sent(control)
        for name in self.late_choices:  # a link's value comes before its choice, which Gradio would refuse
            take_as_sent(self.controls[name])

    def lay_controls(self) -> None:
        """Make the controls, by `control` and its kin."""
        raise NotImplementedError

    def lay_view(self) -> None:
        """Make what shows the result and put it into `outputs`: pictures and a plot, unless a panel has others."""
        self.shown = self.placeholder("shown")
        self.card = self.plot_card(drawn=False)

    def draw(self, *args: Any, **values: Any) -> Updates:
        """Updates of `outputs` for a language and the values of `inputs`, by their names there: a subclass declares
        those. RequestError becomes one sentence in place.
        """
        raise NotImplementedError

    def wire(self) -> None:
        """Events beyond redrawing: buttons that ask the model."""

    def control(self, name: str, kind: Callable[..., C], words: Words, **options: Any) -> C:
        """A control called `name` in links, which is unique within its lab."""
        assert name not in self.context.controls, name
        options.setdefault("elem_id", f"{self.key}-{name}")
        made = self.translation.make(kind, words, **options)
        self.controls[name] = self.context.controls[name] = made
        return made

    def reuse(self, *names: str) -> None:
        """Controls that an earlier panel of the lab has made."""
        self.controls |= {name: self.context.controls[name] for name in names}

    def slider(self, name: str, low: float, high: float, value: float, step: float) -> None:
        """A slider called `name` in links, with the words `{name}_label` and `{name}_info`."""
        self.dial(name, {"label": f"{name}_label", "info": f"{name}_info"}, low, high, value, step)

    def dial(self, name: str, words: Words, low: float, high: float, value: float, step: float) -> None:
        """A slider called `name` in links, with words of its own."""
        bounds = {"minimum": low, "maximum": high, "value": value, "step": step}
        self.control(name, gr.Slider, words, **bounds, buttons=[], min_width=160)

    def seed(self, name: str) -> None:
        """A seed called `name` in links; at first 7."""
        bounds = {"precision": 0, "minimum": 0, "maximum": MAX_SEED}
        self.control(name, gr.Number, {"label": "seed"}, value=7, **bounds)

    def textbox(self, name: str, words: Words, value: str = "") -> None:
        """A prompt called `name` in links."""
        self.control(name, gr.Textbox, words, value=value, max_length=self.service.limits.prompt_chars)

    def placeholder(self, name: str) -> gr.HTML:
        """Where pictures will stand; until they do, it says that they are being drawn."""
        drawing, where = {"value": "drawing"}, f"{self.key}-{name}"
        made = self.translation.make(gr.HTML, drawing, elem_id=where, elem_classes="drawn")
        self.outputs.append(made)
        return made

    def plot_card(self, height: int = 320, drawn: bool = True) -> PlotCard:
        """Where a plot will stand, with its values and files."""
        card = PlotCard(self.translation, height, drawn)
        self.plot_cards.append(card)
        self.outputs += card.outputs
        return card

    def show(self, plots: Sequence[Plot], lang: str) -> Updates:
        """Updates that draw plots on the panel's cards; cards beyond the plots stay as they are."""
        drawn = zip(self.plot_cards, plots, strict=False)
        return {component: update for card, plot in drawn for component, update in card.show(plot, lang).items()}

    def upload(self, name: str) -> None:
        """A picture the person may give, called `name` in `draw`; without one it is the shipped picture."""
        words = {"label": "picture_label"}
        self.uploads[name] = self.translation.make(
            gr.File, words, file_types=["image"], height=100, elem_id=f"{self.key}-{name}", elem_classes="drop"
        )

    @property
    def inputs(self) -> dict[str, Any]:
        """What `draw` gets: components by the names of its arguments."""
        return {**self.controls, **self.uploads}

    @property
    def redrawn_by(self) -> list[Any]:
        """Those of `inputs` that draw the panel anew when they change."""
        return list(self.inputs.values())

    def redraw(self, request: gr.Request, *values: Any) -> Updates:
        """Gradio's way into `draw`."""
        lang = language(request, self.service.settings.lang)
        return self.guarded(lang, lambda: self.draw(lang, **self.read(values)))

    def read(self, values: Sequence[Any]) -> dict[str, Any]:
        """The values of `inputs` by name; RequestError for a number that its control does not reach."""
        named = dict(zip(self.inputs, values, strict=True))
        for name, control in self.controls.items():
            if isinstance(control, gr.Slider) or (isinstance(control, gr.Number) and named[name] is not None):
                named[name] = read_number(control, named[name], self.translation.label(control))
        return named

    def guarded(self, lang: str, work: Any) -> Updates:
        """work()'s updates, with the note cleared; or the note alone, saying why there are none."""
        try:
            return {self.note: "", **work()}
        except RequestError as error:
            return {self.note: fault_html(error, lang)}


def read_number(control: gr.Slider | gr.Number, typed: Any, label: Sentence) -> float:
    """What was typed into a control as a number within its bounds; RequestError where it is none."""
    if isinstance(typed, bool) or not isinstance(typed, (int, float)):
        raise RequestError("must_be_number", field=label)
    if not -1e300 < typed < 1e300:
        raise RequestError("not_finite", field=label)
    if control.precision == 0 and typed != int(typed):
        raise RequestError("must_be_whole", field=label, value=typed)
    low, high = control.minimum, control.maximum
    if (low is not None and typed < low) or (high is not None and typed > high):
        raise RequestError("out_of_range", field=label, low=low, high=high, value=typed)
    return int(typed) if control.precision == 0 else typed


@dataclass(frozen=True)
class Lab:
    """A tab: its key names it in links and words (`{key}_tab`, `{key}_intro`)."""

    key: str
    panels: Sequence[type[Panel]]
