"""The form filled from elsewhere: a PNG's settings, pasted ones, a picture of the page's own."""

from __future__ import annotations

import random
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import gradio as gr

from app.i18n import say
from app.metadata import read_png
from app.schemas import RequestError, check_params, read_params
from app.service import Service
from app.ui.canvas_input import chip_html, for_canvas
from app.ui.fields import FIELDS, values_from
from app.ui.form import PICTURES, Form
from app.ui.gradio_patches.canvas_files import Canvas
from app.ui.picture import Stage
from app.ui.picture_cards import Picture
from app.widgets.events import LOCAL, PRIVATE, QUIET, Updates, language
from app.widgets.status import fault_html, line_html, refusal_html
from ldm_core.metadata import read_parameters, unread_parameters
from ldm_core.sampling import Limits, SamplingParams

SIZES = ("width", "height")
UNREAD = 200  # characters of the names of pasted settings that have no effect here
START = {"restored_picture", "restored_mask"}  # what a picture on the canvas may be
AS_GOOD = {"restored_runtime", "restored_unknown"}  # what a variation may start with all the same
VARIATION = 0.3  # how far a variation asked for with one click goes from its picture


class Refill:
    """Wires what fills the form; built inside a gr.Blocks context, after form and stage."""

    def __init__(self, service: Service, lang: str, form: Form, stage: Stage) -> None:
        self.service, self.lang, self.form, self.stage = service, lang, form, stage
        self._wire_settings()
        self._wire_pictures()

    def _wire_settings(self) -> None:
        """From pasted text, and from a file."""
        form, filled = self.form, [self.stage.line, self.form.model, *self.form.fields]
        paste = "(text, model) => [window.latentLab.takePasted(text), model]"
        form.fill.click(self.fill, [form["prompt"], form.model], filled, js=paste, **PRIVATE)
        remember = "(...values) => { window.latentLab.remember(); return values; }"
        form.restore.upload(self.restore, form.restore, filled, js=remember, **PRIVATE)

    def _wire_pictures(self) -> None:
        """From a picture onward: as a start picture, its settings, variations of it."""
        form, stage = self.form, self.stage
        refit = "() => window.latentLab.refitCanvas()"
        placed = [stage.line, form.canvas, form.has_start, form.start_chip]
        taken = form.use_shown.click(self.use_shown, stage.shown, placed, **PRIVATE)
        taken.then(js=refit, **LOCAL)
        form.canvas.upload(js=refit, **LOCAL)
        act = gr.Button(visible="hidden", elem_id="act")  # pressed by the large view
        asked = gr.JSON(visible="hidden")
        self.done = gr.Textbox(visible="hidden")  # what was asked for, "" where it is refused
        acted = act.click(
            self.act,
            [asked, form.canvas],
            [self.done, *placed, form.model, *form.fields],
            js="(_, canvas) => [window.latentLab.takeAction(), canvas]",
            **PRIVATE,
        )
        acted.success(inputs=self.done, js="(done) => window.latentLab.acted(done)", **LOCAL)
        form.start.collapse(self.chip, form.canvas, form.start_chip, **QUIET)
        drop = gr.Button(visible="hidden", elem_id="drop-start")  # pressed by the chip's ✕
        drop.click(lambda: (None, False, ""), None, [form.canvas, form.has_start, form.start_chip], **QUIET)

    def chip(self, canvas: Canvas | None, request: gr.Request) -> str:
        """What stands for the canvas while its section is folded."""
        return chip_html(canvas, self.service.settings, language(request, self.lang))

    def restore(self, file: str | None, request: gr.Request) -> Updates:
        """Fill the form from a PNG's settings."""
        lang = language(request, self.lang)
        if file is None:
            return {self.stage.line: ""}
        try:
            made, info = read_png(Path(file))
            filled = self._filled(made, info["weights_sha256"])
        except RequestError as error:
            return {self.stage.line: fault_html(error, lang)}
        missing = self._missing(made, info) or ["restored_same"]
        return {self.stage.line: self._line(["restored", *missing], lang), **filled}

    def _line(self, keys: list[str], lang: str) -> str:
        """What is in the form and what is missing, and an offer to load the picture that it began from."""
        offer = say(lang, "load_start") if START & {*keys} else ""
        return line_html(" ".join(say(lang, key) for key in keys), "done", load=offer)

    def _missing(self, made: SamplingParams, info: dict[str, str]) -> list[str]:
        """Keys of what stands between a file's settings and its picture."""
        pipe, missing = self.service.pipe, []
        here = {file.sha256 for file in self.service.models.usable}
        if pipe is not None and info["weights_sha256"] not in here | {pipe.weights_sha256}:
            missing.append("restored_weights")
        start = info.get("start", "")
        if start != "noise":
            known = {"picture": "restored_picture", "picture and mask": "restored_mask"}
            missing.append(known.get(start, "restored_unknown"))
        if pipe is not None and info.get("runtime", pipe.runtime) != pipe.runtime:
            missing.append("restored_runtime")
        if any(getattr(made, f.name) != f.default for f in fields(made) if f.name not in FIELDS):
            missing.append("restored_beyond")
        return missing

    def fill(self, text: str, model: str | None, request: gr.Request) -> Updates:
        """Fill the form from settings as other programs write them; a size the chosen model lacks is its own."""
        lang, values = language(request, self.lang), read_parameters(text or "")
        try:
            limits = self.service.limits_of(model or "")
            fits = all(s % limits.size_multiple == 0 and s <= limits.max_side for n in SIZES if (s := values.get(n)))
            made = read_params({n: v for n, v in values.items() if fits or n not in SIZES})
            check_params(made, limits)
        except RequestError as error:
            return {self.stage.line: refusal_html(error, lang)}
        said, unread = say(lang, "settings_filled"), unread_parameters(text) + ([] if fits else ["Size"])
        if unread:
            said += " " + say(lang, "settings_unread", names=", ".join(unread)[:UNREAD])
        return {self.stage.line: line_html(said, "done"), **self._fields(made, limits)}

    def act(self, asked: dict[str, Any] | None, request: gr.Request, canvas: Canvas | None = None) -> Updates:
        """What the large view asks: `use` a picture's settings, `vary` it, or `start` from it.

        Settings that would make another picture only fill the form, and the line says what is missing.
        """
        lang, asked = language(request, self.lang), asked if isinstance(asked, dict) else {}
        settings, what = asked.get("settings"), str(asked.get("do"))
        path = self.service.picture(str(asked.get("file")))
        if what == "start":
            placed = self._on_canvas(path, lang)
            return {self.done: what if self.form.canvas in placed else "", **placed}
        try:
            made = read_params(settings if isinstance(settings, dict) else {})
            info = read_png(path)[1] if path is not None else {}
            here = START if chip_html(canvas, self.service.settings, lang) else set()  # perhaps that one
            missing = [key for key in self._missing(made, info) if key not in here] if info else []
            if here and info.get("start") == "noise":
                missing.append("restored_canvas")
            sha256, line = info.get("weights_sha256", ""), self._line(["settings_used", *missing], lang)
            if what == "vary":
                if AS_GOOD.issuperset(missing):
                    line = line_html("")
                else:
                    what = "use"
                drawn = random.randrange(2**31)
                made = replace(made, batch=PICTURES, variation_seed=drawn, variation_strength=VARIATION)
            return {self.done: what, self.stage.line: line, **self._filled(made, sha256)}
        except RequestError as error:
            return {self.done: "", self.stage.line: refusal_html(error, lang)}

    def _filled(self, made: SamplingParams, sha256: str) -> Updates:
        """The form for these settings and the model they were for, where it is here; RequestError if they cannot be."""
        names = [file.name for file in self.service.models.usable if sha256 and file.sha256 == sha256]
        limits = self.service.limits_of(names[0] if names else "")
        check_params(made, limits)
        model = names[0] if names and names[0] != self.service.models.own.name else ""
        return {self.form.model: model, **self._fields(made, limits)}

    def _fields(self, made: SamplingParams, limits: Limits) -> Updates:
        return dict(zip(self.form.fields, values_from(made, limits), strict=True))

    def use_shown(self, shown: Picture | None, request: gr.Request) -> Updates:
        """Put the picture that is shown onto the canvas."""
        lang = language(request, self.lang)
        if shown is None:
            return {self.stage.line: line_html(say(lang, "nothing_to_use"), "failed")}
        return self._on_canvas(Path(shown.path), lang)

    def _on_canvas(self, path: Path | None, lang: str) -> Updates:
        if path is None or not path.is_file():
            return {self.stage.line: line_html(say(lang, "gone"), "failed")}
        return {
            self.stage.line: line_html(say(lang, "on_canvas"), "done"),
            self.form.canvas: for_canvas(path),
            self.form.has_start: True,
            self.form.start_chip: chip_html({"background": str(path)}, self.service.settings, lang),
        }
