"""A plot on the page: the drawing, its sentence, formula and source, and the same values as files and a table."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

import gradio as gr
from gradio.components.plot import PlotData

from app.i18n import say
from app.labs.common.files import FORMATS, save_plot
from app.labs.common.plot import Plot
from app.labs.common.screen import plotly_json
from app.service import Service
from app.widgets.events import LOCAL, QUIET, Updates
from app.widgets.translation import Translation

ROWS = 60  # of the table on the page; the CSV has them all
FORMULA: list[dict[str, str | bool]] = [
    {"left": "$$", "right": "$$", "display": True},
    {"left": "$", "right": "$", "display": False},
]


class PlotCard:
    """Lay one out inside a Blocks context; `show` gives the updates of `outputs`."""

    def __init__(self, translation: Translation, height: int = 320, drawn: bool = True) -> None:
        """`drawn` False: nothing is shown before the first `show`."""
        self.height, self._drawn = height, drawn
        self.number = 0  # among the cards of its lab
        with gr.Column(elem_classes="card", visible=drawn) as self.column:
            self.plot = gr.Plot(show_label=False, container=False, elem_classes="plot")
            self.caption = gr.Markdown(latex_delimiters=FORMULA, elem_classes="caption")
            with translation.make(gr.Accordion, {"label": "values_files"}, open=False):
                self.values = gr.HTML(elem_classes="values")
        self.current = gr.State(None)

    @property
    def outputs(self) -> list[Any]:
        """What `show` fills."""
        return [self.column, self.plot, self.caption, self.current, self.values]

    def show(self, plot: Plot, lang: str) -> Updates:
        """Updates that draw `plot`."""
        appear = {} if self._drawn else {self.column: gr.update(visible=True)}
        return {
            **appear,
            self.plot: PlotData(type="plotly", plot=plotly_json(plot, self.height)),
            self.caption: caption(plot, lang),
            self.current: plot,
            self.values: values_html(plot, self.number),
        }


def wire_files(cards: Sequence[PlotCard], service: Service, lab: str) -> None:
    """Let the buttons of a lab's cards save their plots.

    They are plain HTML with one event for a whole lab: when the page opens, Gradio (6.31) looks at every event for
    every component.
    """
    if not cards:
        return
    for number, card in enumerate(cards):
        card.number = number

    def save(asked: Any, *plots: Plot | None) -> Any:
        wanted = asked if isinstance(asked, dict) else {}  # what a browser sends is anybody's
        plot = next((plot for k, plot in enumerate(plots) if k == wanted.get("plot")), None)
        kind = next((kind for kind in FORMATS if kind == wanted.get("kind")), None)
        return gr.skip() if plot is None or kind is None else str(save_plot(plot, service.outputs, kind))

    asked = gr.JSON(visible="hidden")
    file = gr.DownloadButton(visible="hidden")
    button = gr.Button(visible="hidden", elem_id=f"save-{lab}")  # pressed by the page's script
    take = "(asked, ...plots) => [window.latentLab.takeAsked(), ...plots]"
    saved = button.click(save, [asked, *(card.current for card in cards)], file, js=take, **QUIET)
    saved.then(inputs=file, js="(file) => window.latentLab.download(file)", **LOCAL)


def caption(plot: Plot, lang: str) -> str:
    """Markdown under a plot: what is seen, the formula, who computed it."""
    parts = [plot.summary, f"$${plot.formula}$$" if plot.formula else ""]
    if plot.source:
        parts.append(say(lang, "computed_by", source=f"`{plot.source}`"))
    return "\n\n".join(part for part in parts if part)


def values_html(plot: Plot, number: int) -> str:
    """A button for each kind of file, and the values as a table, thinned to a length one can read."""
    buttons = "".join(
        f'<button type="button" data-plot="{number}" data-kind="{kind}">{kind.upper()}</button>' for kind in FORMATS
    )
    return f'<div class="actions">{buttons}</div><div class="table">{_table(plot)}</div>'


def _table(plot: Plot) -> str:
    header, rows = plot.table()
    step = -(-len(rows) // ROWS) if rows else 1
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in header)
    body = "".join(
        "<tr>" + "".join(f"<td>{'' if v is None else f'{v:.5g}'}</td>" for v in row) + "</tr>" for row in rows[::step]
    )
    return f'<table tabindex="0"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'
