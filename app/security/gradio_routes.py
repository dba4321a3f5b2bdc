"""Of Gradio's routes only those the page needs, and none that fetches.

Gradio downloads a file whose `path` is a web address before any function of the page sees it, serves
`file=https://…` by fetching it, and has routes for editing, recording and profiling apps. A server must not be sent
errands, and what nobody needs is not there.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote, urlsplit

from starlette.types import ASGIApp, Receive, Scope, Send

from app.security.messages import MULTIPART, header, is_multipart, read_body, refuse, replay_body
from ldm_core.sampling import is_unicode

PREFIX = "/gradio_api/"
NAME = r"[^/\x00-\x1f\x7f]+"
OPEN = re.compile(  # of what follows PREFIX
    r"(info|openapi\.json|app_id|theme\.css|startup-events|upload|upload_progress|cancel|reset|component_server"
    r"|queue/(join|data|status)|(run|api|call|call/v2|heartbeat)/NAME|call/NAME/NAME)/?|file=.+".replace("NAME", NAME),
    re.DOTALL,
)
CLOSED = re.compile(r"/(monitoring|svelte|dev|login_check|pwa_icon|deep_link)(/|$)")  # beside PREFIX
ADDRESS = re.compile(r"\s*([a-z][a-z0-9+.-]+:|[/\\]{2})", re.IGNORECASE)  # a drive's letter is no scheme
FETCHING = re.compile(r"/(file|proxy)[=/](.*)", re.IGNORECASE | re.DOTALL)
BIG_BODY = 100_000  # bytes from which a body is parsed off the event loop
HALVED = "The request holds half of a character; texts must be Unicode."
REFUSED = "Files must be uploaded; a web address is not fetched."


class GradioRoutes:
    """ASGI middleware: 422 for a web address where a file belongs or half a character, 404 for what no page needs."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        path = scope["path"]
        if fetches(path):
            await refuse(422, REFUSED, scope, receive, send)
        elif (path.startswith(PREFIX) and not OPEN.fullmatch(path[len(PREFIX) :])) or CLOSED.match(path):
            await refuse(404, "Not found.", scope, receive, send)
        elif path.startswith(PREFIX) and scope["method"] == "POST":
            if is_multipart(scope):
                await self.app(_named_as_gradio_does(scope), receive, send)
            else:
                await self._checked(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    async def _checked(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = await read_body(receive) or b""
        own = header(scope, "host").lower()
        big = len(body) > BIG_BODY
        fault = await asyncio.to_thread(fault_of, body, own) if big else fault_of(body, own)
        if fault:
            await refuse(422, fault, scope, receive, send)
        else:
            await self.app(scope, replay_body(body, receive), send)


def fetches(path: str) -> bool:
    """Whether a path asks for a web address, however often it is encoded."""
    for _ in range(5):
        found = FETCHING.search(path)
        if found and (ADDRESS.match(found[2]) or found[1].lower() == "proxy"):
            return True
        decoded = unquote(path)
        if decoded == path:
            return False
        path = decoded
    return True  # nobody encodes a name five times


def fault_of(body: bytes, own_host: str) -> str:
    """Why JSON is not let through; "" where it is.

    It may not hold {"path": a web address} or {"url": an address of another host} anywhere, nor half of a surrogate
    pair, which no answer can repeat.
    """
    try:
        values = json.loads(body)
        if any(_remote(value, own_host) for value in _dicts(values)):
            return REFUSED
        return "" if is_unicode(json.dumps(values, ensure_ascii=False)) else HALVED
    except (ValueError, RecursionError):
        return ""  # not JSON: whoever it is for refuses it


def _named_as_gradio_does(scope: Scope) -> Scope:
    """A multipart request with its type in small letters: in others Gradio's component_server reads it as JSON."""
    kind = MULTIPART.encode()
    headers = [
        (name, kind + value[len(kind) :] if name == b"content-type" and value.lower().startswith(kind) else value)
        for name, value in scope["headers"]
    ]
    return {**scope, "headers": headers}


def _remote(value: dict[str, Any], own_host: str) -> bool:
    path, url = value.get("path"), value.get("url")
    if isinstance(path, str) and ADDRESS.match(path):
        return True
    # The page sends back the address the server itself gave a file; that is never fetched, and no other is taken.
    if not isinstance(url, str) or "//" not in url:
        return False
    try:
        return urlsplit(url.strip()).netloc.lower() not in (own_host, "")
    except ValueError:  # http://[: what cannot be parsed is not ours
        return True


def _dicts(value: Any) -> Iterator[dict[str, Any]]:
    stack = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, dict):
            yield item
            stack.extend(item.values())
        elif isinstance(item, list):
            stack.extend(item)
