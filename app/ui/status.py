"""What the service says, as HTML for the page. Pure: events and states in, text out."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import quote

from PIL import Image

from app.engine import Cancelled, Done, Event, Failed, Interrupted, Job, Loading, Queued, Started, Stepped
from app.i18n import duration, say
from app.loading import State
from app.metadata import read_png
from app.schemas import GeneratedImage, GenerateResult, RequestError
from ldm_core.images import Pixels, own_picture, sheet_columns
from ldm_core.sampling import SamplingParams

DTYPES = {"float32": "fp32", "float16": "fp16", "bfloat16": "bf16"}


def safe(text: object) -> str:
    """Text for HTML that also passes through the page's own template language unchanged."""
    html = escape(str(text))
    for sign in "{}$`":
        html = html.replace(sign, f"&#{ord(sign)};")
    return html


def state_html(state: State, lang: str) -> str:
    """The header's line: "emoji-128 · CPU bf16 · openvino · ready"."""
    text = f'<i class="dot"></i>{safe(state_text(state, lang))}'
    return f'<span class="state {state.phase}" data-lang="{lang}" role="status">{text}</span>'


def state_text(state: State, lang: str) -> str:
    """What the header's line says."""
    percent = f"{100 * state.progress:.0f}"
    word = say(lang, f"state_{state.phase}", percent=percent, message=state.message)
    place = f"{state.device.upper()} {DTYPES.get(state.dtype, state.dtype)}".strip()
    return " · ".join(str(part) for part in (state.model, place, state.runtime, word) if part)


def line_html(
    text: str,
    kind: str = "",
    fraction: float | None = None,
    field: str = "",
    counting: tuple[float, str] | None = None,
    load: str = "",
) -> str:
    """The status line, with a bar while something runs; kind is "", "failed", "done", or
    "again" where the next process goes on with the run.

    `field` is the setting a refusal is about: faults.js marks it and shows the sentence beside it. `counting` are
    seconds that waiting.js counts down, and the text with {left} in their place. `load` are the words of a button that
    lets a start picture be chosen.
    """
    bar = ""
    if fraction is not None:
        percent = round(100 * fraction)
        about = f'role="progressbar" aria-valuenow="{percent}" aria-label="{safe(text)}"'
        bar = f'<div class="bar" {about}><i style="width:{percent}%"></i></div>'
    live = ' role="alert"' if kind == "failed" else ' role="status"' if kind == "done" else ""
    if counting is not None:
        live += f' data-left="{counting[0]:.1f}" data-said="{safe(counting[1])}"'
    about = f' data-field="{safe(field.replace("_", "-"))}"' if field else ""
    button = f' <button type="button" data-load="start">{safe(load)}</button>' if load else ""
    return f'<div class="line {kind}"{about}><span{live}>{safe(text)}</span>{button}{bar}</div>'


def refusal_html(error: RequestError, lang: str) -> str:
    """The status line for a request that is refused, beside its field where it has one."""
    return line_html(say(lang, "failed", message=error.sentence), "failed", field=error.setting)


def source_html(job: Job, lang: str) -> str:
    """Where a job starts, if not from noise."""
    if job.init_image is None:
        return ""
    return f'<span class="facts">{safe(say(lang, "from_picture" if job.mask is None else "from_paint"))}</span>'


def empty_html(lang: str) -> str:
    """The frame before there is anything to show."""
    return (
        f'<div class="frame empty"><p data-word="empty">{safe(say(lang, "empty"))}</p>'
        f'<p class="small" data-word="empty_hint">{safe(say(lang, "empty_hint"))}</p></div>'
    )


def forming_html(source: str, alt: str) -> str:
    """The frame while pictures form: one sheet of them."""
    return f'<div class="frame forming"><img src="{source}" alt="{safe(alt)}" decoding="sync"></div>'


def frame_html(pictures: Sequence[Picture], lang: str) -> str:
    """The frame with finished pictures, each a button that opens it large; data URIs, so that nothing flashes."""
    cells = "".join(cell_html(picture, file_uri(Path(picture.path)), lang) for picture in pictures)
    return f'<div class="frame of-{sheet_columns(len(pictures))}">{cells}</div>'


def cell_html(picture: Picture, source: str, lang: str) -> str:
    """One picture to click on, with everything the large view says of it."""
    alt = safe(say(lang, "picture_alt", prompt=picture.prompt))
    kept = "" if picture.favourite is None else f' data-favourite="{str(picture.favourite).lower()}"'
    made = "" if picture.made is None else f' data-made="{picture.made:.0f}"'
    took = picture.facts.get("took")
    kept += picture.started + ("" if took is None else f' data-took="{took:.3f}"')
    return (
        f'<button type="button" class="cell" data-settings="{safe(picture.settings)}" '
        f'data-facts="{safe(picture.says(lang))}" data-file="{safe(Path(picture.path).name)}"{kept}{made}>'
        f'<img src="{safe(source)}" alt="{alt}" decoding="sync" loading="lazy"></button>'
    )


def history_html(pictures: Sequence[Picture], lang: str) -> str:
    """The session's pictures, newest first, fetched as files so that an update stays small."""
    if not pictures:
        return f'<p class="note" data-word="history_empty">{safe(say(lang, "history_empty"))}</p>'
    return thumbs_html(pictures, lang)


def thumbs_html(pictures: Sequence[Picture], lang: str) -> str:
    """Small pictures to click on."""
    cells = "".join(cell_html(picture, f"gradio_api/file={quote(picture.path)}", lang) for picture in pictures)
    return f'<div class="thumbs">{cells}</div>'


def pixels_uri(pixels: Pixels) -> str:
    """uint8 [h,w,3] or [h,w] as a PNG in the page itself."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG", compress_level=1)
    return _uri(buffer.getvalue())


def file_uri(path: Path) -> str:
    """A PNG file as a data URI, byte for byte: what is saved from the page still carries its settings."""
    return _uri(path.read_bytes())


def _uri(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"


@dataclass(frozen=True)
class Picture:
    """One finished picture and what is said of it."""

    path: str
    prompt: str
    settings: str  # JSON of the request that makes this picture alone
    facts: dict[str, Any]
    favourite: bool | None = None  # None where no history keeps it
    made: float | None = None  # seconds since 1970, of a picture of the history

    @classmethod
    def all_of(cls, result: GenerateResult) -> list[Picture]:
        """A job's pictures, each with a request of its own."""
        return [cls._of(image, result.request.image(k), result) for k, image in enumerate(result.images)]

    @classmethod
    def _of(cls, image: GeneratedImage, alone: SamplingParams, result: GenerateResult) -> Picture:
        facts: dict[str, Any] = {
            "seed": image.seed,
            "width": image.width,
            "height": image.height,
            "steps": result.steps_done,
        }
        facts |= {"took": result.seconds, "start": result.start}
        settings = json.dumps(alone.to_dict(), ensure_ascii=False)
        return cls(str(image.path), alone.prompt, settings, facts, False if result.kept else None)

    @classmethod
    def of_file(
        cls, path: Path, facts: dict[str, Any], favourite: bool | None, made: float | None = None
    ) -> Picture | None:
        """One that was made before, by what its file says; None where that is damaged or gone."""
        try:
            settings, told = read_png(path)
            with own_picture(path) as image:
                width, height = image.size
        except (OSError, RequestError):
            return None
        own: dict[str, Any] = {"seed": settings.seed, "width": width, "height": height, "steps": settings.steps}
        own |= {"start": told.get("start", "noise")}
        text = json.dumps(settings.to_dict(), ensure_ascii=False)
        return cls(str(path), settings.prompt, text, own | facts, favourite, made)

    @property
    def started(self) -> str:
        """An attribute that says what it began from, where that was not noise."""
        start = self.facts.get("start", "noise")
        return "" if start == "noise" else f' data-start="{safe(start)}"'

    def says(self, lang: str) -> str:
        """Seed, size, steps and time, or the model, in one line."""
        if "took" not in self.facts:
            return say(lang, "history_facts", **self.facts)
        return say(lang, "facts", **self.facts, seconds=duration(lang, self.facts["took"]))


def facts_html(picture: Picture, lang: str) -> str:
    """Seed, size and time under a picture; the settings ride along for the copy button."""
    about = f'data-settings="{safe(picture.settings)}" data-file="{safe(Path(picture.path).name)}"{picture.started}'
    return f'<span class="facts" {about}>{safe(picture.says(lang))}</span>'


@dataclass(frozen=True)
class View:
    """What an event changes on the page; None leaves a part as it is."""

    line: str
    frame: str | None = None


def view(event: Event, request: SamplingParams, lang: str) -> View:
    """An event as the page shows it; finished pictures are the caller's, who knows which are favourites."""
    return _VIEWS[type(event)](event, request, lang)


def _queued(event: Queued, request: SamplingParams, lang: str) -> View:
    if event.wait_seconds is None:
        return View(line_html(say(lang, "queued", position=event.position), fraction=0))
    wait = duration(lang, event.wait_seconds)
    text = say(lang, "queued_wait", position=event.position, wait=wait)
    counting = say(lang, "queued_wait", position=event.position, wait="{left}")
    return View(line_html(text, fraction=0, counting=(event.wait_seconds, counting)))


def _loading(event: Loading, request: SamplingParams, lang: str) -> View:
    said = say(lang, "loading_model", model=event.model, percent=f"{100 * event.progress:.0f}")
    return View(line_html(said, fraction=event.progress))


def _started(event: Started, request: SamplingParams, lang: str) -> View:
    return View(line_html(say(lang, "started", n=event.n), fraction=0))


def _stepped(event: Stepped, request: SamplingParams, lang: str) -> View:
    i, n = event.i, event.n
    left = duration(lang, event.seconds_left)
    text = say(lang, "stepped", i=i, n=n, left=left) if i < n else say(lang, "decoding", n=n)
    frame = None
    if event.preview is not None:
        alt = say(lang, "preview_alt", i=i, n=n, prompt=request.prompt)
        frame = forming_html(pixels_uri(event.preview), alt)
    return View(line_html(text, fraction=i / n), frame)


def _done(event: Done, request: SamplingParams, lang: str) -> View:
    return View(line_html(say(lang, "done", seconds=duration(lang, event.result.seconds)), "done"))


def _failed(event: Failed, request: SamplingParams, lang: str) -> View:
    return View(line_html(say(lang, "failed", message=event.message), "failed"))


def _cancelled(event: Cancelled, request: SamplingParams, lang: str) -> View:
    text = say(lang, "left_queue") if event.waiting else say(lang, "stopped", i=event.i, n=event.n)
    return View(line_html(text))


def _interrupted(event: Interrupted, request: SamplingParams, lang: str) -> View:
    return View(line_html(say(lang, "restarting"), "again"))


_VIEWS: dict[type[Any], Callable[[Any, SamplingParams, str], View]] = {
    Queued: _queued,
    Loading: _loading,
    Started: _started,
    Stepped: _stepped,
    Done: _done,
    Failed: _failed,
    Cancelled: _cancelled,
    Interrupted: _interrupted,
}
