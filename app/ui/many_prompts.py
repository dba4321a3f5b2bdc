"""Many prompts, one a line, made one after the other with the form's settings: a labelled sheet and a zip."""

from __future__ import annotations

import asyncio
import io
import random
import zipfile
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.processing_utils import save_bytes_to_cache
from PIL import Image, ImageDraw

from app.engine import Done, Event, Loading, Queued, Stepped
from app.fonts import fitted, font_for
from app.i18n import say
from app.schemas import GenerateResult, RequestError, check_params
from app.service import Service
from app.ui.fields import request_from
from app.ui.form import Form
from app.widgets.events import LOCAL, Updates, however_it_ends, language, wire_run
from app.widgets.job_watchers import JobSeries, wire_stop
from app.widgets.status import fault_html, file_uri, line_html, safe, waiting_html
from app.widgets.translation import Translation
from ldm_core.config import MAX_SEED
from ldm_core.images import Pixels, own_pixels
from ldm_core.sampling import Limits, SamplingParams

MOST = 50  # prompts of one list
GAP, LABEL, SIZE = 8, 28, 16  # pixels between pictures, of a row's line of text, of its letters
INK, PAPER = (40, 40, 40), (255, 255, 255)


def prompt_sheet(rows: Sequence[tuple[str, Sequence[Pixels]]]) -> Image.Image:
    """(prompt, pictures uint8 [H,W,3] of one size): a row for each, the prompt above it."""
    height, width, _ = rows[0][1][0].shape
    columns = max(len(pictures) for _, pictures in rows)
    size = GAP + columns * (width + GAP), GAP + len(rows) * (LABEL + height + GAP)
    sheet = Image.new("RGB", size, PAPER)
    pen = ImageDraw.Draw(sheet)
    for r, (prompt, pictures) in enumerate(rows):
        top, font = GAP + r * (LABEL + height + GAP), font_for(prompt, SIZE)
        pen.text((GAP, top + 3), fitted(prompt, font, size[0] - 2 * GAP), INK, font)
        for c, picture in enumerate(pictures):
            sheet.paste(Image.fromarray(picture), (GAP + c * (width + GAP), top + LABEL))
    return sheet


def zipped(results: Sequence[GenerateResult]) -> bytes:
    """The results' files, their names led by the number of the line."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:  # PNG is packed already
        for k, result in enumerate(results):
            for image in result.images:
                archive.write(image.path, f"{k + 1:02d}-{image.path.name}")
    return buffer.getvalue()


class ManyPrompts:
    """Built inside a gr.Blocks context; the form's settings and model are used, its prompt is not."""

    def __init__(self, service: Service, translation: Translation, form: Form) -> None:
        self.service, self.lang = service, translation.lang
        make = translation.make
        with make(gr.Accordion, {"label": "many"}, open=False, elem_id="many"):
            words = {"label": "many_lines", "info": "many_info", "placeholder": "many_placeholder"}
            most = MOST * (service.limits.prompt_chars + 1)
            self.lines = make(gr.Textbox, words, lines=5, max_lines=16, max_length=most, elem_id="many-lines")
            with gr.Row(elem_classes="buttons"):
                self.start = make(gr.Button, {"value": "many_start"}, variant="primary", elem_id="many-start")
                self.stop = make(gr.Button, {"value": "stop"}, interactive=False, elem_id="many-stop")
            self.line = gr.HTML(elem_id="many-line")
            self.shown = gr.HTML(elem_id="many-sheet")
            with gr.Row(elem_classes="buttons"):
                off: dict[str, Any] = {"size": "sm", "interactive": False}
                self.sheet = make(gr.DownloadButton, {"label": "many_sheet"}, elem_id="many-sheet-file", **off)
                self.zip = make(gr.DownloadButton, {"label": "many_zip"}, elem_id="many-zip", **off)
        self.lines.change(inputs=self.lines, js="(text) => window.latentLab.keepTab('many', text)", **LOCAL)
        self.series = series = gr.State(None)  # the JobSeries under way
        outputs = [self.stop, self.line, self.shown, self.sheet, self.zip, series]
        asked = [self.lines, form.model, *form.fields]
        made = wire_run(self.start, self.run, asked, outputs, self.line)
        however_it_ends(made, "() => window.latentLab.wake()", [self.start, self.stop])
        wire_stop(self.stop, series)

    def read(self, text: str, values: Sequence[Any], limits: Limits) -> list[SamplingParams]:
        """A checked request a line, all with the form's seed or one that is drawn; or RequestError."""
        prompts = [line.strip() for line in text.splitlines() if line.strip()]
        if not prompts:
            raise RequestError("many_empty")
        if len(prompts) > MOST:
            raise RequestError("many_too_many", count=len(prompts), most=MOST)
        wanted = []
        for prompt in prompts:
            params = request_from([prompt, *values[1:]])
            check_params(params, limits)
            wanted.append(params)
        drawn = random.randint(0, MAX_SEED - wanted[0].batch + 1)
        return [replace(params, seed=drawn if params.seed is None else params.seed) for params in wanted]

    async def run(self, request: gr.Request, text: str, model: str | None, *values: Any) -> AsyncIterator[Updates]:
        """Make the list; whatever ends it, what is there can be downloaded."""
        lang, model, series = language(request, self.lang), model or "", JobSeries(self.service)
        results: list[GenerateResult] = []
        yield {self.line: "", self.series: series}
        try:
            wanted = self.read(text or "", values, self.service.limits_of(model))
            yield {self.stop: gr.update(interactive=True)}
            submits = [partial(self.service.submit, params, model=model) for params in wanted]
            async with aclosing(series.run(submits)) as events:  # closed with this one: a lost tab is noticed at once
                async for k, job, event in events:
                    if isinstance(event, Done):
                        results.append(event.result)
                    elif not series.stopped:
                        yield {self.line: _line(event, job.request.prompt, (k, len(wanted)), lang)}
            done = say(lang, "many_done", done=len(results), count=len(wanted))
            yield {self.line: line_html(done, "done")}
        except RequestError as error:
            yield {self.line: fault_html(error, lang)}
        if results and (files := await asyncio.to_thread(self._finish, results, lang)):
            yield files
        yield {self.series: None}

    def _finish(self, results: Sequence[GenerateResult], lang: str) -> Updates:
        """Sheet and zip of the pictures that are still there; none where all have been deleted meanwhile."""
        left = [replace(r, images=tuple(image for image in r.images if image.path.exists())) for r in results]
        rows = [(r.request.prompt, [own_pixels(image.path) for image in r.images]) for r in left if r.images]
        if not rows:
            return {}
        buffer = io.BytesIO()
        prompt_sheet(rows).save(buffer, format="PNG")
        cache = self.sheet.GRADIO_CACHE
        archive = save_bytes_to_cache(zipped(left), "pictures.zip", cache)
        sheet = save_bytes_to_cache(buffer.getvalue(), "sheet.png", cache)
        alt = safe(say(lang, "many_alt", count=len(rows)))
        picture = f'<img src="{file_uri(Path(sheet))}" alt="{alt}">'
        return {
            self.shown: f'<div class="sheet" tabindex="0" role="region" aria-label="{alt}">{picture}</div>',
            self.sheet: gr.update(value=str(sheet), interactive=True),
            self.zip: gr.update(value=str(archive), interactive=True),
        }


def _line(event: Event, prompt: str, place: tuple[int, int], lang: str) -> str:
    """The status line while one prompt is made: which, from 0, of how many."""
    k, count = place
    text = say(lang, "many_at", at=k + 1, count=count, prompt=prompt)
    if isinstance(event, (Queued, Loading)):
        return waiting_html(event, lang, f"{text} · ", k / count)
    part = event.i / event.n if isinstance(event, Stepped) else 0.0
    return line_html(text, fraction=(k + part) / count)
