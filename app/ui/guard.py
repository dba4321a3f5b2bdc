"""Refuses requests that would make the server fetch something.

Gradio downloads a file whose `path` is a web address, before any function of the page sees it, and serves
`file=https://…` by fetching it. Nothing here needs either, and a server must not be sent errands.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote, urlsplit

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

ADDRESS = re.compile(r"\s*([a-z][a-z0-9+.-]*:)?//", re.IGNORECASE)
FETCHING_ROUTE = re.compile(r"/(file|proxy)=\s*[a-z][a-z0-9+.-]+:/", re.IGNORECASE)
MAX_BODY = 32_000_000  # bytes of one JSON body; uploads are multipart and have their own limit
REFUSED = "Files must be uploaded; a web address is not fetched."


class RefuseRemoteFiles:
    """ASGI middleware: 422 for a web address where a file belongs, 413 for an endless JSON body."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
        elif FETCHING_ROUTE.search(unquote(scope["path"])):
            await JSONResponse({"detail": REFUSED}, 422)(scope, receive, send)
        elif scope["method"] in ("POST", "PUT", "PATCH") and not _multipart(scope):
            await self._checked(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    async def _checked(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = await _read(receive)
        if body is None:
            await JSONResponse({"detail": "The request is too large."}, 413)(scope, receive, send)
        elif names_remote_file(body, _own_hosts(scope)):
            await JSONResponse({"detail": REFUSED}, 422)(scope, receive, send)
        else:
            await self.app(scope, _replay(body, receive), send)


def names_remote_file(body: bytes, own_hosts: frozenset[str]) -> bool:
    """Whether JSON anywhere holds {"path": a web address} or {"url": an address of another host}."""
    try:
        values = _dicts(json.loads(body))
        return any(_remote(value, own_hosts) for value in values)
    except (ValueError, RecursionError):
        return False  # not JSON: whoever it is for refuses it


def _remote(value: dict[str, Any], own_hosts: frozenset[str]) -> bool:
    path, url = value.get("path"), value.get("url")
    if isinstance(path, str) and ADDRESS.match(path):
        return True
    # The page sends back the address the server itself gave a file; that is never fetched, and no other is taken.
    return isinstance(url, str) and bool(ADDRESS.match(url)) and urlsplit(url.strip()).netloc.lower() not in own_hosts


def _dicts(value: Any) -> Iterator[dict[str, Any]]:
    stack = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, dict):
            yield item
            stack.extend(item.values())
        elif isinstance(item, list):
            stack.extend(item)


def _header(scope: Scope, name: bytes) -> str:
    return next((value.decode("latin-1") for key, value in scope["headers"] if key == name), "")


def _multipart(scope: Scope) -> bool:
    return _header(scope, b"content-type").lower().startswith("multipart/form-data")


def _own_hosts(scope: Scope) -> frozenset[str]:
    origin = urlsplit(_header(scope, b"origin")).netloc
    hosts = (_header(scope, b"host"), _header(scope, b"x-forwarded-host"), origin)
    return frozenset(host.lower() for host in hosts if host)


async def _read(receive: Receive) -> bytes | None:
    body = bytearray()
    while True:
        message = await receive()
        body += message.get("body", b"")
        if len(body) > MAX_BODY:
            return None
        if message["type"] == "http.disconnect" or not message.get("more_body", False):
            return bytes(body)


def _replay(body: bytes, receive: Receive) -> Receive:
    sent = False

    async def again() -> Message:
        nonlocal sent
        if sent:
            return await receive()
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again
