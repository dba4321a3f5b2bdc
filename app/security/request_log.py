"""An id for every request, and a line in the log for every call of the API."""

from __future__ import annotations

import logging
import re
import secrets
import time
from urllib.parse import quote

from starlette.datastructures import MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.logs import request_id
from app.security.messages import PROBES, is_api, refuse

log = logging.getLogger(__name__)
HEADER = "X-Request-ID"
REQUEST = "latent_lab.request"  # the id's place in the scope, for whoever answers in another task
NAMED = re.compile(r"(^/v1/(?:files|history)/|file=).+")  # of a picture: its name has words of the prompt
QUIET = (*PROBES, "/metrics")  # asked every few seconds
LEFT, FAULT = 499, "Something went wrong here; the server's log has the details under request {0}."


class RequestLog:
    """ASGI middleware: every answer has an id, every call of the API a line, an error nobody has handled a sentence."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on and tell what came of it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        number, start, status = secrets.token_hex(8), time.monotonic(), 0
        request_id.set(number)  # each request is a task of its own
        scope[REQUEST] = number

        async def answered(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message).append(HEADER, number)
            await send(message)

        try:
            await self.app(scope, receive, answered)
        except ClientDisconnect:
            status = status or LEFT
        except Exception:
            log.exception("an error nobody has handled")
            if not status:
                await refuse(500, FAULT.format(number), scope, receive, answered)
        _tell(scope, status, time.monotonic() - start)


def _tell(scope: Scope, status: int, seconds: float) -> None:
    path = scope["path"]
    if path not in QUIET and (status >= 500 or is_api(path)):
        shown = NAMED.sub(r"\1*", quote(path))
        about = {"method": scope["method"], "path": shown, "status": status, "ms": round(1000 * seconds)}
        log.info("request", extra={"about": about})
