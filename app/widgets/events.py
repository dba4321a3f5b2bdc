"""What the page's events have in common: what they answer, how they are asked, and in which language."""

from __future__ import annotations

from typing import Any

import gradio as gr
from gradio.blocks import Block

Updates = dict[Block, Any]  # component → its new value, or gr.update(…)
PRIVATE: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}  # an event of the page's own
QUIET: dict[str, Any] = {**PRIVATE, "queue": False}  # one that is answered at once
LOCAL: dict[str, Any] = {"fn": None, **PRIVATE}  # one that the browser handles without asking the server

SENDING = """() => [{__type__: "update", interactive: false}, window.latentLab.line("sending")]"""


def however_it_ends(event: Any, js: str, outputs: Any = None) -> None:
    """Let the browser act once an event has ended, by an error too: Gradio's client runs a `then` only without one."""
    for after in (event.then, event.failure):
        after(js=js, outputs=outputs, **LOCAL)


def wire_run(button: Any, run: Any, inputs: Any, outputs: Any, line: Any) -> Any:
    """Let a button start `run`, however many people press theirs at once; returns the event.

    Before the server answers, the button sleeps and `line` says that it is sending; where it never does, that too.
    """
    button.click(js=SENDING, outputs=[button, line], **LOCAL)
    event = button.click(run, inputs, outputs, concurrency_limit=None, **PRIVATE)
    event.failure(js="() => window.latentLab.line('unexpected')", outputs=line, **LOCAL)
    return event


def language(request: gr.Request | None, default: str) -> str:
    """The language of the page an event comes from: ?lang=zh in its address, else the operator's choice."""
    asked = request.query_params.get("lang") if request is not None else None
    return asked if asked in ("en", "zh") else default
