"""The right half of the Generate tab: the pictures, what is said about them, and the session's pictures."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import gradio as gr

from app.i18n import say
from app.schemas import GenerateResult
from app.service import Service
from app.ui.picture_cards import Picture, empty_html, facts_html, frame_html, history_html
from app.widgets.events import LOCAL, Updates
from app.widgets.translation import Translation

SMOOTH, NEAREST = "smooth", "nearest"
RECALLED = 100  # pictures that a tab shows, and has back after it was loaded again


@dataclass
class Stage:
    """Components that show pictures. A picture opens large in the browser alone (viewer.js), also in mid-run."""

    frame: gr.HTML
    line: gr.HTML
    source: gr.HTML  # says so when a picture on the canvas is what it starts from
    facts: gr.HTML
    copy: gr.Button
    share: gr.Button
    download: gr.DownloadButton
    scaling: gr.Radio
    thumbs: gr.HTML
    history: gr.State  # list[Picture], newest first
    recalled: gr.JSON  # the same as the browser remembers it, for a server that was started again behind the page
    shown: gr.State  # Picture | None

    @property
    def about_one(self) -> list[Any]:
        """What `show` fills."""
        return [self.facts, self.copy, self.share, self.download, self.shown]

    @property
    def of_a_run(self) -> list[Any]:
        """What a run may change."""
        return [self.line, self.source, self.frame, *self.about_one, self.thumbs, self.history]

    def show(self, picture: Picture, lang: str) -> Updates:
        """Updates that put the facts of a finished picture under the frame."""
        return {
            self.facts: facts_html(picture, lang),
            self.copy: gr.update(interactive=True),
            self.share: gr.update(interactive=True),
            self.download: gr.update(value=picture.path, interactive=True),
            self.shown: picture,
        }

    def forget(self) -> Updates:
        """Updates for when another picture begins to form: what was said of the last one no longer stands under it."""
        off = gr.update(interactive=False)
        return {self.facts: "", self.copy: off, self.share: off, self.download: off, self.shown: None}

    def put_back(self, pictures: list[Picture], lang: str) -> Updates:
        """Updates that frame pictures of before, the first of them with its facts; none where there are no pictures."""
        return {self.frame: frame_html(pictures, lang), **self.show(pictures[0], lang)} if pictures else {}

    def gather(self, pictures: list[Picture], history: list[Picture], lang: str) -> Updates:
        """Updates that put new pictures before the session's others, of which the oldest go."""
        known = {picture.path for picture in pictures}
        gathered = (pictures + [picture for picture in history if picture.path not in known])[:RECALLED]
        return {self.history: gathered, self.thumbs: history_html(gathered, lang)}


def build_stage(translation: Translation) -> Stage:
    """Lay the stage out."""
    make, lang = translation.make, translation.lang
    gr.HTML('<div class="frame"><img alt=""></div>', elem_id="live")  # live.js shows it in place of the frame
    frame = gr.HTML(empty_html(lang), elem_id="stage")
    line = gr.HTML(elem_id="line")
    notify = f'<button type="button" id="notify" data-word="notify" hidden>{say(lang, "notify")}</button>'
    gr.HTML(f'<div class="film" aria-hidden="true"></div>{notify}', elem_id="film")
    source = gr.HTML(elem_id="source")
    with gr.Row(elem_id="about"):
        facts = gr.HTML(elem_id="facts")
        scaling = gr.Radio(
            choices=_choices(lang),
            value=SMOOTH,
            show_label=False,
            container=False,
            elem_id="scaling",
            label=say(lang, "scaling"),
        )
    with gr.Row(elem_id="under"):
        small: dict[str, Any] = {"size": "sm", "interactive": False, "min_width": 90}
        download = make(gr.DownloadButton, {"label": "download"}, elem_id="download", **small)
        copy = make(gr.Button, {"value": "copy_settings"}, elem_id="copy", **small)
        share = make(gr.Button, {"value": "share"}, elem_id="share", **small)
    make(gr.Markdown, {"value": "history"}, elem_classes="history-title")
    thumbs = gr.HTML(history_html([], lang), elem_id="history")
    copy.click(js="() => window.latentLab.copySettings()", **LOCAL)
    share.click(js="() => window.latentLab.shareShown()", **LOCAL)
    scaling.change(inputs=scaling, js="(v) => window.latentLab.setScaling(v)", **LOCAL)
    state, recalled, shown = gr.State([]), gr.JSON(visible="hidden"), gr.State(None)
    return Stage(frame, line, source, facts, copy, share, download, scaling, thumbs, state, recalled, shown)


def pictures_of(result: GenerateResult, history: list[Picture]) -> list[Picture]:
    """A job's pictures, each as the tab knows it, where it does: a favourite, say."""
    known = {picture.path: picture for picture in history}
    return [known.get(picture.path, picture) for picture in Picture.all_of(result)]


def as_of_now(service: Service, pictures: list[Picture]) -> list[Picture]:
    """A tab's pictures without those that were deleted meanwhile, each a favourite or not as it is by now."""
    if service.history is None:
        return [picture for picture in pictures if Path(picture.path).exists()]
    names = [Path(picture.path).name for picture in pictures]
    known = service.history.favourites(service.visitor().client, names)
    return [replace(p, favourite=known[name]) for p, name in zip(pictures, names, strict=True) if name in known]


def recall(service: Service, kept: Any) -> list[Picture]:
    """The pictures of a tab that was loaded again.

    `kept` is what waiting.js noted of them, lists "all" and "frame" of {file, took, model, favourite}; what is somebody
    else's, gone or damaged is left out.
    """
    found = []
    for about in _noted(kept, "all"):
        path, favourite, took = service.picture(str(about.get("file"))), about.get("favourite"), about.get("took")
        facts = {"took": float(took) if isinstance(took, (int, float)) else 0.0, "model": str(about.get("model") or "")}
        known = favourite if isinstance(favourite, bool) and service.history is not None else None
        if path is not None and (picture := Picture.of_file(path, facts, known)) is not None:
            found.append(picture)
    return found


def in_frame(kept: Any, pictures: list[Picture]) -> list[Picture]:
    """Those of a tab's recalled pictures that were in the frame."""
    framed = {about.get("file") for about in _noted(kept, "frame") if isinstance(about.get("file"), str)}
    return [picture for picture in pictures if Path(picture.path).name in framed]


def _noted(kept: Any, part: str) -> list[dict[str, Any]]:
    """What a browser sends as a list of notes, as far as it is one."""
    noted = kept.get(part) if isinstance(kept, dict) else None
    return [about for about in noted[:RECALLED] if isinstance(about, dict)] if isinstance(noted, list) else []


def _choices(lang: str) -> list[tuple[str, str]]:
    return [(say(lang, SMOOTH), SMOOTH), (say(lang, NEAREST), NEAREST)]


def scaling_update(lang: str) -> Any:
    """The scaling choice in another language."""
    return gr.update(choices=_choices(lang), label=say(lang, "scaling"))
