"""Grid: one picture for every combination of two or three settings, made one after the other by the service's queue."""

from __future__ import annotations

import json
import uuid
from collections.abc import AsyncIterator
from typing import Any

import gradio as gr

from app.i18n import say
from app.labs.common.panels.job_panel import PROMPT
from app.labs.common.panels.panel import Lab, Panel
from app.labs.xy_plot.filling import fill, fill_all
from app.labs.xy_plot.xy_plot import AXES, MAX_CELLS, MAX_TEXT, PLACES, Plan, make_plan, read_axis
from app.labs.xy_plot.xy_sheet import Sheet
from app.schemas import RequestError, read_params
from app.widgets.events import LOCAL, Updates, however_it_ends, language, wire_run
from app.widgets.job_watchers import JobSeries, wire_stop
from app.widgets.status import fault_html, pixels_uri, safe
from app.widgets.translation import Words
from ldm_core import __version__
from ldm_core.metadata import write_png
from ldm_core.sampling import SAMPLER_NAMES

CHOICES = {name: f"axis_{name}" if name in ("schedule", "words") else name for name in AXES}
OPENING = {"x": "steps", "y": "guidance_scale", "z": "none"}
EXAMPLES = {  # what an axis begins with when it is chosen
    "none": "",
    "steps": "3, 6, 12, 25",
    "eta": "0, 0.5, 1",
    "guidance_scale": "1, 5",
    "sampler": "ddim, heun, dpmpp_2m",
    "seed": "7, 8, 9",
    "schedule": "uniform, trailing, cosine",
    "words": "apple, pear, heart",
}
SHOWN_PIXELS = 4_000_000  # of the picture while it is on the page; the file has them all


class XYPlotPanel(Panel):
    """Settings, three axes, and the sheet."""

    key = "sheet"

    def lay_controls(self) -> None:
        """Settings of all cells, then each axis with its values, Fill and Stop."""
        self.textbox("grid_prompt", {"label": "prompt"}, PROMPT)
        self.textbox("grid_negative", {"label": "negative_prompt"})
        self.dial("grid_steps", {"label": "steps"}, 1, 100, 12, 1)
        self.dial("grid_guidance", {"label": "guidance_scale"}, 0, 20, 5, 0.5)
        self.dial("grid_eta", {"label": "eta"}, 0, 1, 0, 0.05)
        make = self.translation.make
        samplers = list(SAMPLER_NAMES)
        self.control(
            "grid_sampler", gr.Dropdown, {"label": "sampler"}, choices=samplers, value="ddim", filterable=False
        )
        self.seed("grid_seed")
        for place in PLACES:
            self._axis(place)
        with gr.Row(elem_classes="buttons"):
            self.run = make(gr.Button, {"value": "sheet_run"}, variant="primary", elem_id="sheet-run")
            self.stop = make(gr.Button, {"value": "stop"}, interactive=False, elem_id="sheet-stop")

    def _axis(self, place: str) -> None:
        none = {} if place == "x" else {"none": "axis_none"}
        words: Words = {"label": f"axis_{place}", "choices": none | CHOICES}
        opening = OPENING[place]
        axis = self.control(f"{place}_axis", gr.Dropdown, words, value=opening, filterable=False)
        words = {"label": f"values_{place}", "info": "values_info"}
        values = self.control(f"{place}_values", gr.Textbox, words, value=EXAMPLES[opening], max_length=MAX_TEXT)
        fill = f"(axis) => ({json.dumps(EXAMPLES)})[axis] ?? ''"
        axis.input(inputs=axis, outputs=values, js=fill, **LOCAL)

    def lay_view(self) -> None:
        """Estimate, status line, sheet, and the button for its file."""
        self.estimate = gr.Markdown(elem_id="sheet-estimate", elem_classes="caption")
        self.line = gr.HTML(elem_id="sheet-line", elem_classes="panel-note")
        self.shown = gr.HTML(elem_id="sheet-shown", elem_classes="drawn")  # no word of the page's: it stays as it is
        self.download = self.translation.make(
            gr.DownloadButton, {"label": "download"}, size="sm", interactive=False, elem_id="sheet-download"
        )
        self.made = gr.State(False)
        self.series = gr.State(None)  # the JobSeries under way
        self.outputs += [self.estimate, self.shown]

    @property
    def inputs(self) -> dict[str, Any]:
        """The controls, and whether this page has filled a sheet."""
        return {**self.controls, "made": self.made}

    def draw(self, lang: str, *, made: bool, **values: Any) -> Updates:
        """The estimate; before the first run the empty sheet too."""
        try:
            plan = self.plan(values)
        except RequestError as error:
            return {self.estimate: "", self.note: fault_html(error, lang)}
        columns, rows, sheets = plan.shape
        size = " × ".join(str(n) for n in (columns, rows, sheets)[: 3 if sheets > 1 else 2])
        text = say(lang, "sheet_estimate", size=size, cells=len(plan.cells), most=MAX_CELLS, steps=plan.steps)
        return {self.estimate: text, **({} if made else {self.shown: self._opening(plan, lang)})}

    def _opening(self, plan: Plan, lang: str) -> str:
        """The default settings' sheet, filled once for everybody; that of any other settings, empty."""
        sheet = self._sheet(plan, lang)
        if plan == self.plan({name: component.value for name, component in self.controls.items()}):
            for cell, pixels in zip(plan.cells, self.results.get(self.key, fill_all(plan)), strict=True):
                sheet.paste(cell, pixels)
        return sheet_html(sheet, plan, lang)

    def plan(self, values: dict[str, Any]) -> Plan:
        """The controls' values as a plan, or RequestError."""
        if any(values[f"grid_{name}"] is None for name in ("steps", "guidance", "eta", "seed")):
            raise RequestError("fault_number")
        side = self.service.limits.image_size
        base = read_params(
            {
                "prompt": values["grid_prompt"] or "",
                "negative_prompt": values["grid_negative"] or "",
                "steps": values["grid_steps"],
                "eta": values["grid_eta"],
                "guidance_scale": values["grid_guidance"],
                "sampler": values["grid_sampler"] or "",
                "seed": values["grid_seed"],
                "width": side,
                "height": side,
            }
        )
        x, y, z = (read_axis(p, values[f"{p}_axis"], values[f"{p}_values"] or "") for p in PLACES)
        return make_plan(base, x, y, z, self.service.limits)

    def _sheet(self, plan: Plan, lang: str) -> Sheet:
        return Sheet(plan, self.service.limits.image_size, lang)

    def wire(self) -> None:
        """Events of Fill and of Stop."""
        outputs = [self.note, self.line, self.shown, self.stop, self.download, self.made, self.series]
        filled = wire_run(self.run, self.pressed, list(self.controls.values()), outputs, self.note)
        however_it_ends(filled, "() => window.latentLab.wake()", [self.run, self.stop])
        wire_stop(self.stop, self.series)

    async def pressed(self, request: gr.Request, *values: Any) -> AsyncIterator[Updates]:
        """The button: check, fill, leave a file."""
        lang = language(request, self.service.settings.lang)
        yield {self.note: ""}
        try:
            plan = self.plan(dict(zip(self.controls, values, strict=True)))
            async for updates in self.filled(plan, lang):
                yield updates
        except RequestError as error:
            yield {self.note: fault_html(error, lang), self.line: ""}
        yield {self.series: None}

    async def filled(self, plan: Plan, lang: str) -> AsyncIterator[Updates]:
        """Updates while a plan is filled; whatever ends it, the cells that are there can be downloaded."""
        sheet, series = self._sheet(plan, lang), JobSeries(self.service)
        yield {
            self.series: series,
            self.made: True,
            self.stop: gr.update(interactive=True),
            self.download: gr.update(interactive=False),
            self.shown: sheet_html(sheet, plan, lang),
        }
        fault: RequestError | None = None
        try:
            async for seen in fill(self.service, plan, sheet, series, lang):
                fresh: Updates = {self.shown: sheet_html(sheet, plan, lang)} if seen.fresh else {}
                yield {self.line: seen.line, **fresh}
        except RequestError as error:
            fault = error
        if sheet.filled:
            yield {self.download: gr.update(value=self._save(plan, sheet), interactive=True)}
        if fault is not None:
            raise fault

    def _save(self, plan: Plan, sheet: Sheet) -> str:
        path = self.service.outputs / f"grid-{uuid.uuid4().hex[:12]}.png"
        sha = self.service.pipe.weights_sha256 if self.service.pipe is not None else ""
        write_png(path, sheet.pixels(), plan.base, sha, __version__, {"grid": plan.record(sheet.filled)})
        return str(path)


def sheet_html(sheet: Sheet, plan: Plan, lang: str) -> str:
    """The sheet in a frame that scrolls, by keyboard too."""
    axes = ", ".join(f"{axis.title(lang)} {' '.join(axis.labels())}" for axis in plan.axes if axis is not None)
    alt = safe(say(lang, "sheet_alt", axes=axes, filled=sheet.filled, cells=len(plan.cells)))
    source = pixels_uri(sheet.pixels(SHOWN_PIXELS))
    return (
        f'<div class="sheet" tabindex="0" role="region" aria-label="{alt}">'
        f'<img src="{source}" alt="{alt}" data-filled="{sheet.filled}"></div>'
    )


LAB = Lab("xy_plot", (XYPlotPanel,))
