"""How much a request may carry."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.security.messages import header, is_multipart, read_body, refuse, replayed
from app.security.uploads import Quotas, boundary_of, counted
from app.settings import Settings

UPLOAD = "/gradio_api/upload"
CANVAS = "/gradio_api/component_server"  # one layer of the canvas
BASE64 = 4 / 3  # characters a byte


class Bodies:
    """ASGI middleware: 413 for a body too large for its route, 429 for an address that uploads too much."""

    def __init__(self, app: ASGIApp, settings: Settings, pictures: Mapping[str, int]) -> None:
        self.app = app
        self._settings = settings
        self._pictures = dict(pictures)
        self._quotas = Quotas(settings)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on with its body bounded, or refuse it."""
        if scope["type"] != "http" or scope["method"] in ("GET", "HEAD", "OPTIONS"):
            await self.app(scope, receive, send)
            return
        route, length = scope["path"].rstrip("/"), header(scope, "content-length")
        most = self._most(route, is_multipart(scope))
        if length.isdigit() and int(length) > most:
            await self._too_large(most, scope, receive, send)
        elif not is_multipart(scope):
            body = await read_body(receive, most)
            if body is None:
                await self._too_large(most, scope, receive, send)
            else:
                await self.app(scope, replayed(body, receive), send)
        elif not length.isdigit():  # every browser says it; without it nothing could be refused beforehand
            await refuse(411, "An upload must say its length.", scope, receive, send)
        elif route == UPLOAD:
            await self._upload(int(length), scope, receive, send)
        else:
            await self.app(scope, receive, send)

    def _most(self, route: str, multipart: bool) -> int:
        """Bytes a body of this route may have: room for its text, and for the pictures it may carry."""
        count = self._pictures.get(route, 0)
        if multipart and route in (UPLOAD, CANVAS):
            count = 1
        each = self._settings.max_upload_bytes * (1 if multipart else BASE64)
        return self._settings.max_json_bytes + int(count * each)

    async def _upload(self, length: int, scope: Scope, receive: Receive, send: Send) -> None:
        address = (scope.get("client") or ("", 0))[0]
        if (refusal := self._quotas.charge(address, length)) is not None:
            await refuse(429, refusal, scope, receive, send)
            return
        full = False

        def another_file() -> str | None:
            nonlocal full
            refusal = self._quotas.count(address)
            full = refusal is not None
            return refusal

        async def answered(message: Message) -> None:
            if full and message["type"] == "http.response.start":
                message["status"] = 429
            await send(message)

        await self.app(scope, counted(receive, boundary_of(scope), another_file), answered)

    async def _too_large(self, most: int, scope: Scope, receive: Receive, send: Send) -> None:
        await refuse(413, f"The request is too large; at most {most} bytes are taken here.", scope, receive, send)
