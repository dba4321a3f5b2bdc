"""The right half of the Generate tab: the picture, what is said about it, and the session's pictures."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from app.i18n import say
from app.ui.status import Picture, empty_html, facts_html, file_uri, frame_html
from app.ui.translation import Translation

SMOOTH, NEAREST = "smooth", "nearest"


@dataclass
class Stage:
    """Components that show pictures."""

    frame: gr.HTML
    line: gr.HTML
    source: gr.HTML  # says so when a picture on the canvas is what it starts from
    facts: gr.HTML
    copy: gr.Button
    download: gr.DownloadButton
    scaling: gr.Radio
    gallery: gr.Gallery
    note: gr.Markdown  # stands where the gallery will be
    history: gr.State  # list[Picture], newest first
    shown: gr.State  # Picture | None

    @property
    def about_one(self) -> list[Any]:
        """What `show` fills."""
        return [self.frame, self.facts, self.copy, self.download, self.shown]

    def show(self, picture: Picture, lang: str, with_frame: bool = True) -> dict[Any, Any]:
        """Updates that put a finished picture into the frame and its facts under it."""
        alt = say(lang, "picture_alt", prompt=picture.prompt)
        updates: dict[Any, Any] = {
            self.facts: facts_html(picture, lang),
            self.copy: gr.update(interactive=True),
            self.download: gr.update(value=picture.path, interactive=True),
            self.shown: picture,
        }
        return updates | ({self.frame: frame_html(file_uri(Path(picture.path)), alt)} if with_frame else {})

    def forget(self) -> dict[Any, Any]:
        """Updates for when another picture begins to form: what was said of the last one no longer stands under it."""
        off = gr.update(interactive=False)
        return {self.facts: "", self.copy: off, self.download: off}

    def gather(self, pictures: list[Picture], history: list[Picture]) -> dict[Any, Any]:
        """Updates that put new pictures before the session's others; the gallery is given files, never pixels."""
        known = {picture.path for picture in pictures}
        gathered = pictures + [picture for picture in history if picture.path not in known]
        files = [picture.path for picture in gathered]
        return {
            self.history: gathered,
            self.gallery: gr.update(value=files, selected_index=None, visible=True),
            self.note: gr.update(visible=False),
        }


def build_stage(translation: Translation) -> Stage:
    """Lay the stage out."""
    make = translation.make
    frame = gr.HTML(empty_html(translation.lang), elem_id="stage")
    line = gr.HTML(elem_id="line")
    source = gr.HTML(elem_id="source")
    with gr.Row(elem_id="about"):
        facts = gr.HTML(elem_id="facts")
        scaling = gr.Radio(
            choices=_choices(translation.lang), value=SMOOTH, show_label=False, container=False, elem_id="scaling",
            label=say(translation.lang, "scaling"),
        )  # fmt: skip
    with gr.Row(elem_id="under"):
        copy = make(gr.Button, {"value": "copy_settings"}, size="sm", interactive=False, elem_id="copy", min_width=110)
        download = make(
            gr.DownloadButton, {"label": "download"}, size="sm", interactive=False, elem_id="download", min_width=110
        )
    note = make(gr.Markdown, {"value": "history_empty"}, elem_classes="note")
    gallery = make(
        gr.Gallery, {"label": "history"}, format="png", columns=5, fit_columns=False, height="auto",
        object_fit="contain", buttons=[], allow_preview=False, interactive=False, visible=False, elem_id="history",
    )  # fmt: skip
    copy.click(fn=None, js="() => window.latentLab.copySettings()", api_visibility="private")
    scaling.change(fn=None, inputs=scaling, js="(v) => window.latentLab.setScaling(v)", api_visibility="private")
    return Stage(frame, line, source, facts, copy, download, scaling, gallery, note, gr.State([]), gr.State(None))


def _choices(lang: str) -> list[tuple[str, str]]:
    return [(say(lang, SMOOTH), SMOOTH), (say(lang, NEAREST), NEAREST)]


def scaling_update(lang: str) -> Any:
    """The scaling choice in another language."""
    return gr.update(choices=_choices(lang), label=say(lang, "scaling"))
