"""How much a request may carry."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.security.addresses import peer_address
from app.security.messages import LATE, header, is_multipart, read_body, refuse, replay_body, with_timeout
from app.security.uploads import UploadQuotas, boundary_of, count_parts
from app.settings import Settings

UPLOAD = "/gradio_api/upload"
CANVAS = "/gradio_api/component_server"  # one layer of the canvas
KEYED = ("/v1/", "/sdapi/")  # routes that take a body take a key
BASE64 = 4 / 3  # characters a byte
MOST_VALUES = 20_000  # in one request; a picture is one, and the page's fullest form has a few hundred


class BodyLimits:
    """ASGI middleware: 413 for a body too large for its route, 408 for one too slow, 429 where too much is uploaded.

    A body for the API without a key that opens it is not read at all: 401.
    """

    def __init__(
        self,
        app: ASGIApp,
        settings: Settings,
        pictures: Mapping[str, int],
        refusal: Callable[[Headers], str | None],
    ) -> None:
        self.app, self._refusal = app, refusal
        self._settings = settings
        self._pictures = dict(pictures)
        self._quotas = UploadQuotas(settings)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on with its body bounded, or refuse it."""
        if scope["type"] != "http" or scope["method"] in ("GET", "HEAD", "OPTIONS"):
            await self.app(scope, receive, send)
            return
        route, length = scope["path"].rstrip("/"), header(scope, "content-length")
        most = self._most(route, is_multipart(scope))
        if route.startswith(KEYED) and (sentence := self._refusal(Headers(scope=scope))) is not None:
            await refuse(401, sentence, scope, receive, send, challenge(route))
        elif length.isdigit() and int(length) > most:
            await self._too_large(most, scope, receive, send)
        elif not is_multipart(scope):
            await self._read(most, scope, receive, send)
        elif not length.isdigit():  # every browser says it; without it nothing could be refused beforehand
            await refuse(411, "An upload must say its length.", scope, receive, send)
        else:
            await self._multipart(route, int(length), scope, receive, send)

    def _most(self, route: str, multipart: bool) -> int:
        """Bytes a body of this route may have: room for its text, and for the pictures it may carry."""
        count = self._pictures.get(route, 0)
        if multipart and route in (UPLOAD, CANVAS):
            count = 1
        each = self._settings.max_upload_bytes * (1 if multipart else BASE64)
        return self._settings.max_json_bytes + int(count * each)

    async def _read(self, most: int, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            async with asyncio.timeout(self._settings.body_seconds):
                body = await read_body(receive, most)
        except TimeoutError:
            await refuse(408, LATE, scope, receive, send)
            return
        if body is None:
            await self._too_large(most, scope, receive, send)
        elif crowded(body):
            await refuse(413, f"The request has too many values; at most {MOST_VALUES}.", scope, receive, send)
        else:
            await self.app(scope, replay_body(body, receive), send)

    async def _multipart(self, route: str, length: int, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass files on as they come; where they are too slow or too many, the parser's 400 becomes our status."""
        address = peer_address(scope)
        status: int | None = None

        def late() -> None:
            nonlocal status
            status = 408

        def another_file() -> str | None:
            nonlocal status
            refusal = self._quotas.count(address)
            status = status if refusal is None else 429
            return refusal

        async def answered(message: Message) -> None:
            if status is not None and message["type"] == "http.response.start":
                message["status"] = status
            await send(message)

        body = with_timeout(receive, self._settings.body_seconds, late)
        if route == UPLOAD:
            if (refusal := self._quotas.charge(address, length)) is not None:
                await refuse(429, refusal, scope, receive, send)
                return
            body = count_parts(body, boundary_of(scope), another_file)
        await self.app(scope, body, answered)

    async def _too_large(self, most: int, scope: Scope, receive: Receive, send: Send) -> None:
        await refuse(413, f"The request is too large; at most {most} bytes are taken here.", scope, receive, send)


def challenge(path: str) -> dict[str, str]:
    """The header of a 401: how the clients of this path's API send their key."""
    return {"WWW-Authenticate": "Bearer" if path.startswith("/v1") else "Basic"}


def crowded(body: bytes) -> bool:
    """Whether JSON could hold more than MOST_VALUES: where they are refused one by one, a megabyte takes seconds.

    A comma comes before every value but the first of a list or object. Base64 has none.
    """
    return sum(map(body.count, (b",", b"[", b"{"))) > MOST_VALUES
