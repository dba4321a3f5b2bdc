"""What the service says just now, as HTML for the page. Pure: events and states in, text out."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from app.engine import Cancelled, Done, Event, Failed, Interrupted, Job, Loading, Queued, Started, Stepped
from app.i18n import duration, say
from app.models.loader import State
from app.schemas import RequestError
from ldm_core.images import Pixels, png_bytes
from ldm_core.sampling import SamplingParams

RUNTIMES = {"openvino": "OpenVINO"}  # torch is what a device has otherwise
DTYPES = {"float32": "fp32", "float16": "fp16", "bfloat16": "bf16"}


def safe(text: object) -> str:
    """Text for HTML that also passes through the page's own template language unchanged."""
    html = escape(str(text))
    for sign in "{}$`":
        html = html.replace(sign, f"&#{ord(sign)};")
    return html


def state_html(state: State, lang: str) -> str:
    """The header's line: "emoji-128 · OpenVINO bf16 · ready"."""
    text = f'<i class="dot"></i>{safe(state_text(state, lang))}'
    return f'<span class="state {state.phase}" data-lang="{lang}" role="status">{text}</span>'


def state_text(state: State, lang: str) -> str:
    """What the header's line says."""
    percent = f"{100 * state.progress:.0f}"
    word = say(lang, f"state_{state.phase}", percent=percent, message=state.message)
    place = f"{RUNTIMES.get(state.runtime, state.device.upper())} {DTYPES.get(state.dtype, state.dtype)}".strip()
    return " · ".join(str(part) for part in (state.model, place, word) if part)


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


def fault_html(error: RequestError, lang: str) -> str:
    """The status line for what could not be done."""
    return line_html(error.sentence.says(lang), "failed")


def refusal_html(error: RequestError, lang: str) -> str:
    """The status line for a request that is refused, beside its field where it has one."""
    return line_html(say(lang, "failed", message=error.sentence), "failed", field=error.setting)


def source_html(job: Job, lang: str) -> str:
    """Where a job starts, if not from noise."""
    if job.init_image is None:
        return ""
    return f'<span class="facts">{safe(say(lang, "from_picture" if job.mask is None else "from_paint"))}</span>'


def forming_html(source: str, alt: str) -> str:
    """The frame while pictures form: one sheet of them."""
    return f'<div class="frame forming"><img src="{source}" alt="{safe(alt)}" decoding="sync"></div>'


def pixels_uri(pixels: Pixels) -> str:
    """uint8 [h,w,3] or [h,w] as a PNG in the page itself."""
    return png_uri(png_bytes(pixels))


def png_uri(png: bytes) -> str:
    """The bytes of a PNG as a data URI."""
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"


def file_uri(path: Path) -> str:
    """A PNG file as a data URI, byte for byte: what is saved from the page still carries its settings."""
    return png_uri(path.read_bytes())


@dataclass(frozen=True)
class View:
    """What an event changes on the page; None leaves a part as it is."""

    line: str
    frame: str | None = None


def view(event: Event, request: SamplingParams, lang: str) -> View:
    """An event as the page shows it; finished pictures are the caller's, who knows which are favourites."""
    return _VIEWS[type(event)](event, request, lang)


def waiting_html(event: Queued | Loading, lang: str, lead: str = "", fraction: float = 0.0) -> str:
    """The line of a job that waits in the queue or for its model; of several, `lead` says which, `fraction` how far."""
    if isinstance(event, Loading):
        percent = f"{100 * event.progress:.0f}"
        said = lead + say(lang, "loading_model", model=event.model, percent=percent)
        return line_html(said, fraction=fraction if lead else event.progress)
    if event.wait_seconds is None:
        return line_html(lead + say(lang, "queued", position=event.position), fraction=fraction)
    waits = [duration(lang, event.wait_seconds), "{left}"]
    text, counting = (lead + say(lang, "queued_wait", position=event.position, wait=wait) for wait in waits)
    return line_html(text, fraction=fraction, counting=(event.wait_seconds, counting))


def _waiting(event: Queued | Loading, request: SamplingParams, lang: str) -> View:
    return View(waiting_html(event, lang))


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
    Queued: _waiting,
    Loading: _waiting,
    Started: _started,
    Stepped: _stepped,
    Done: _done,
    Failed: _failed,
    Cancelled: _cancelled,
    Interrupted: _interrupted,
}
