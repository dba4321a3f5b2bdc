"""What Gradio cannot answer ends in one sentence; what any visitor may send writes no traceback into the log."""

from __future__ import annotations

import logging
from typing import Any

import gradio as gr
from gradio.route_utils import FnIndexInferError
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.schemas import RequestError
from app.security.messages import refuse
from app.widgets.events import language

log = logging.getLogger(__name__)
NO_SUCH_EVENT = "The page has no such event, or it takes other values."


def refuse_in_a_sentence(blocks: gr.Blocks, lang: str) -> None:
    """Make a value that no control of the page can have, and a RequestError of a function, the event's one answer.

    Gradio (6.31) looks at the choices of lists alone, takes any kind of value for the rest, and logs a traceback for
    each that it refuses. Faults of ours still leave theirs.
    """
    preprocess, process = blocks.preprocess_data, blocks.process_api

    async def preprocessed(event: Any, values: list[Any], *more: Any, **named: Any) -> list[Any]:
        try:
            given = zip(event.inputs, values, strict=False)  # Gradio counts them
            if event.fn is None or not all(_possible(block, value) for block, value in given):
                raise RequestError("not_offered")
            return await preprocess(event, values, *more, **named)
        except Exception as error:  # whatever a component makes of a value it does not know
            log.info("an event was refused: %s", type(error).__name__)
            raise RequestError("not_offered") from None

    async def processed(*given: Any, **named: Any) -> dict[str, Any]:
        try:
            return await process(*given, **named)
        except RequestError as error:
            request = named.get("request")  # a list of them where somebody calls it a batch
            said = error.sentence.says(language(request if isinstance(request, gr.Request) else None, lang))
            raise gr.Error(said, print_exception=False) from None

    setattr(blocks, "preprocess_data", preprocessed)  # noqa: B010 — methods are not assigned to
    setattr(blocks, "process_api", processed)  # noqa: B010


def _possible(block: Any, value: Any) -> bool:
    """Whether a control can have a value of this kind. Numbers are judged by the functions, which name their field."""
    if isinstance(block, (gr.CheckboxGroup, gr.Dropdown, gr.Radio)):
        kinds = str if all(isinstance(choice, str) for _, choice in block.choices) else (str, int, float)
        if isinstance(block, gr.CheckboxGroup) or getattr(block, "multiselect", False):
            return isinstance(value, list) and all(isinstance(one, kinds) for one in value)
        return isinstance(value, kinds) or (value is None and block.value is None)
    if isinstance(block, gr.Checkbox):
        return value is None or isinstance(value, bool)
    if isinstance(block, (gr.Textbox, gr.HTML, gr.Button)):
        return value is None or isinstance(value, str)
    return True


class Unanswerable:
    """ASGI middleware: 422 for an event or component that Gradio looks for in vain.

    Its routes raise where there is none, and where a session has ended they do so within an answer that has begun.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and end it."""
        begun = False

        async def sent(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self.app(scope, receive, sent)
        except (LookupError, TypeError, ValueError, FnIndexInferError) as error:
            if begun or scope["method"] != "POST":
                raise
            log.info("a request was refused: %s", type(error).__name__)
            await refuse(422, NO_SUCH_EVENT, scope, receive, send)
        except RuntimeError as error:
            if not (begun and isinstance(error.__cause__, HTTPException)):
                raise
            await send({"type": "http.response.body", "body": b"", "more_body": False})
