"""A plot on the page: the drawing, its sentence, formula and source, and the same values as files and a table."""

from __future__ import annotations

from html import escape
from typing import Any

import gradio as gr
from gradio.components.plot import PlotData

from app.i18n import say
from app.labs.common.files import FORMATS, save_plot
from app.labs.common.plot import Plot
from app.labs.common.screen import plotly_json
from app.service import Service
from app.ui.translation import PRIVATE, Translation, language

ROWS = 60  # of the table on the page; the CSV has them all
FORMULA: list[dict[str, str | bool]] = [
    {"left": "$$", "right": "$$", "display": True},
    {"left": "$", "right": "$", "display": False},
]
QUIET: dict[str, Any] = {**PRIVATE, "queue": False}


class PlotCard:
    """Lay one out inside a Blocks context; `show` gives the updates of `outputs`."""

    def __init__(self, service: Service, translation: Translation, height: int = 320, drawn: bool = True) -> None:
        """`drawn` False: nothing is shown before the first `show`."""
        self.height, self._service, self._drawn = height, service, drawn
        with gr.Column(elem_classes="card", visible=drawn) as self.column:
            self.plot = gr.Plot(show_label=False, container=False, elem_classes="plot")
            self.caption = gr.Markdown(latex_delimiters=FORMULA, elem_classes="caption")
            with translation.make(gr.Accordion, {"label": "values_files"}, open=False, elem_classes="values") as values:
                with gr.Row(elem_classes="buttons"):
                    buttons = [gr.Button(kind.upper(), size="sm", min_width=64) for kind in FORMATS]
                table = gr.HTML(elem_classes="table")
        self.current = gr.State(None)
        values.expand(table_html, self.current, table, **QUIET)
        file = gr.DownloadButton(visible="hidden", elem_classes="lab-file")
        for kind, button in zip(FORMATS, buttons, strict=True):
            saved = button.click(self._saver(kind), self.current, file, **QUIET)
            saved.then(fn=None, js="() => window.latentLab.download()", api_visibility="private")
        self._table = table

    @property
    def outputs(self) -> list[Any]:
        """What `show` fills."""
        return [self.column, self.plot, self.caption, self.current, self._table]

    def show(self, plot: Plot, lang: str) -> dict[Any, Any]:
        """Updates that draw `plot`."""
        appear = {} if self._drawn else {self.column: gr.update(visible=True)}
        return {
            **appear,
            self.plot: PlotData(type="plotly", plot=plotly_json(plot, self.height)),
            self.caption: caption(plot, lang),
            self.current: plot,
            self._table: "",
        }

    def _saver(self, kind: str) -> Any:
        def save(plot: Plot | None, request: gr.Request) -> Any:
            del request
            return gr.skip() if plot is None else str(save_plot(plot, self._service.outputs, kind))

        return save


def caption(plot: Plot, lang: str) -> str:
    """Markdown under a plot: what is seen, the formula, who computed it."""
    parts = [plot.summary, f"$${plot.formula}$$" if plot.formula else ""]
    if plot.source:
        parts.append(say(lang, "computed_by", source=f"`{plot.source}`"))
    return "\n\n".join(part for part in parts if part)


def table_html(plot: Plot | None) -> str:
    """The plot's values as a table, thinned to a length one can read."""
    if plot is None:
        return ""
    header, rows = plot.table()
    step = -(-len(rows) // ROWS) if rows else 1
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in header)
    body = "".join(
        "<tr>" + "".join(f"<td>{'' if v is None else f'{v:.5g}'}</td>" for v in row) + "</tr>" for row in rows[::step]
    )
    return f'<table tabindex="0"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'


__all__ = ["QUIET", "PlotCard", "caption", "language", "table_html"]
