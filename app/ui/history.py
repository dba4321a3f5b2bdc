"""The History tab: the visitor's own pictures, searched, filtered, kept, deleted and taken home."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import gradio as gr

from app.history import Filter, Record
from app.i18n import say
from app.schemas import RequestError
from app.service import Service
from app.ui.picture import Stage, recall
from app.ui.picture_cards import Picture, empty_html, history_html, thumbs_html
from app.widgets.events import LOCAL, PRIVATE, Updates, language
from app.widgets.status import line_html, safe
from app.widgets.translation import Translation, offered

PAGE = 60  # pictures that are shown at first, and that "Show more" adds
MOST = 600  # pictures a page shows; a search finds the others
DAY = 24 * 3600
SINCE = {"any": 0, "day": DAY, "week": 7 * DAY, "month": 30 * DAY}  # seconds back; 0: always


@dataclass(frozen=True)
class HistoryQuery:
    """What the tab's controls ask for, in their order."""

    search: str | None
    model: str | None
    since: str | None
    favourites: bool

    def filter(self) -> Filter:
        """The same for the history."""
        back = SINCE.get(self.since or "any", 0)
        since = time.time() - back if back else 0.0
        return Filter((self.search or "").strip(), self.model or "", since, favourites=bool(self.favourites))


class HistoryTab:
    """Built inside a gr.Blocks context."""

    def __init__(self, service: Service, translation: Translation) -> None:
        self.service, self.lang = service, translation.lang
        make = translation.make
        self.tab = make(gr.Tab, {"label": "history_tab"}, id="history")
        with self.tab, gr.Column(elem_id="history-tab"):
            make(gr.Markdown, {"value": "history_intro"}, elem_classes="lab-intro")
            with gr.Row(elem_id="history-filter"):
                words = {"label": "history_search", "placeholder": "history_search_hint"}
                search = make(
                    gr.Textbox, words, value="", max_lines=1, elem_id="history-search", scale=3, min_width=200
                )
                self.model = make(
                    gr.Dropdown,
                    {"label": "model"},
                    choices=[""],
                    value="",
                    filterable=False,
                    visible=False,
                    elem_id="history-model",
                    scale=1,
                    min_width=140,
                )
                since = make(
                    gr.Dropdown,
                    {"label": "history_since", "choices": {key: f"since_{key}" for key in SINCE}},
                    value="any",
                    filterable=False,
                    elem_id="history-since",
                    scale=1,
                    min_width=140,
                )
                favourites = make(
                    gr.Checkbox, {"label": "favourites_only"}, value=False, elem_id="history-favourites", min_width=140
                )
            self.gallery = gr.HTML(elem_id="gallery")
            self.more = make(gr.Button, {"value": "show_more"}, size="sm", visible=False, elem_id="history-more")
            self.shown = gr.State(PAGE)  # inside: Gradio counts it among the tabs else, and names them one off
        self.controls: list[Any] = [search, self.model, since, favourites]

    def wire(self, stage: Stage, switched: Any) -> None:
        """Draw when the tab is opened, a control is moved or the language has changed; obey the large view."""
        search, *choices = self.controls
        drawn = [self.gallery, self.more, self.model, self.shown]
        asking = {"inputs": self.controls, "outputs": drawn, "concurrency_limit": None, **PRIVATE}
        self.tab.select(self.draw, **asking)
        gr.on([search.change, *(c.input for c in choices)], self.draw, trigger_mode="always_last", **asking)
        switched.then(self.draw, **asking)
        self.more.click(self.draw_more, [self.shown, *self.controls], drawn, **PRIVATE)
        keep = gr.Button(visible="hidden", elem_id="keep")  # pressed by the large view
        asked = gr.JSON(visible="hidden")
        self.refused = gr.Textbox(visible="hidden")  # why a favourite was, "" where nothing was refused
        kept = keep.click(
            self.keep,
            [asked, stage.recalled, stage.history, self.shown, *self.controls],
            [self.refused, stage.line, stage.history, stage.thumbs, stage.frame, *stage.about_one, *drawn],
            js="""(asked, kept, ...others) => {
              const lab = window.latentLab;
              return [lab.toKeep(), lab.keptPictures(), ...others];
            }""",
            trigger_mode="multiple",  # the page asks again while it is told of the answer
            concurrency_limit=None,
            **PRIVATE,
        )
        kept.success(inputs=self.refused, js="(why) => window.latentLab.kept(why)", **LOCAL)
        kept.failure(js="() => window.latentLab.kept(null)", **LOCAL)
        self._stage = stage

    def draw(self, request: gr.Request, *controls: Any) -> Updates:
        """The newest that the controls ask for."""
        return self._drawn(HistoryQuery(*controls), PAGE, language(request, self.lang))

    def draw_more(self, request: gr.Request, shown: int, *controls: Any) -> Updates:
        """The same, and more of them."""
        return self._drawn(HistoryQuery(*controls), min(MOST, shown + PAGE), language(request, self.lang))

    def keep(
        self,
        asked: dict[str, Any] | None,
        kept: Any,
        session: list[Picture],
        request: gr.Request,
        shown: int,
        *controls: Any,
    ) -> Updates:
        """Make one's own picture a favourite (`favour`), none any more (`unfavour`), or `delete` it.

        The page knows of a deleted one whether its facts were `told` and whether it was the `last` in the frame.
        """
        lang, asked = language(request, self.lang), asked if isinstance(asked, dict) else {}
        history = self.service.history
        name, client = str(asked.get("file")), self.service.visitor().client
        session, refused = session or recall(self.service, kept), ""
        if history is None:
            return {self._stage.history: session, self.refused: ""}
        if asked.get("do") == "delete":
            history.delete(name, client)
            session = [picture for picture in session if Path(picture.path).name != name]
        else:
            favourite = asked.get("do") == "favour"
            try:
                if history.favour(name, client, favourite):
                    session = [replace(p, favourite=favourite) if Path(p.path).name == name else p for p in session]
            except RequestError as error:
                refused = error.sentence.says(lang)
        stage: Updates = {self._stage.history: session, self._stage.thumbs: history_html(session, lang)}
        stage[self.refused] = refused
        if refused:
            stage[self._stage.line] = line_html(refused, "failed")
        if asked.get("told"):  # the facts under the frame were this picture's
            stage |= self._stage.forget()
        if asked.get("last"):
            stage[self._stage.frame] = empty_html(lang)
        return stage | self._drawn(HistoryQuery(*controls), shown, lang)

    def _drawn(self, asked: HistoryQuery, most: int, lang: str) -> Updates:
        history, client = self.service.history, self.service.visitor().client
        if history is None:
            return {self.gallery: _note("history_off", lang), self.more: gr.update(visible=False)}
        models = history.models(client)
        model = asked.model if asked.model in models else ""
        wanted = replace(asked, model=model).filter()
        records = history.images(client, wanted, most + 1)
        pictures = [p for record in records[:most] if (p := _picture(record, history.pictures / record.name))]
        choices = [(say(lang, "since_any"), ""), *((name, name) for name in models)]
        return {
            self.gallery: gallery_html(pictures, wanted, len(records) > most, lang),
            self.more: gr.update(visible=len(records) > most < MOST),
            self.model: offered(choices, asked.model, model, visible=len(models) > 1),
            self.shown: most,
        }


def gallery_html(pictures: Sequence[Picture], wanted: Filter, more: bool, lang: str) -> str:
    """How many there are, a link to them as one file, and the pictures; without any, what comes here."""
    if not pictures:
        return _note("history_none" if wanted == Filter() else "history_no_match", lang)
    count = say(lang, "history_count" if not more else "history_first", count=len(pictures))
    asked = {"q": wanted.search, "model": wanted.model, "since": wanted.since, "favourites": wanted.favourites or ""}
    query = urlencode({name: value for name, value in asked.items() if value})
    link = f'<a href="pictures.zip?{safe(query)}" download="pictures.zip">{safe(say(lang, "history_zip"))}</a>'
    return f'<p class="note" role="status">{safe(count)} {link}</p>{thumbs_html(pictures, lang)}'


def _note(key: str, lang: str) -> str:
    return f'<p class="note" data-word="{key}">{safe(say(lang, key))}</p>'


def _picture(record: Record, path: Path) -> Picture | None:
    """A picture with the settings its file carries; None where the file is gone or damaged."""
    return Picture.of_file(path, {"model": record.model}, record.favourite, record.created)
