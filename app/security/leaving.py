"""Calls that compute while their connection is open end when their client leaves."""

from __future__ import annotations

import asyncio

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

CALLS = (
    "/gradio_api/run/",
    "/gradio_api/api/",
    "/v1/images/",
    "/sdapi/v1/txt2img",
    "/sdapi/v1/img2img",
    "/live",
)


class CancelOnDisconnect:
    """ASGI middleware: cancels a call whose connection is lost, and raises ClientDisconnect.

    A server only learns of it by asking.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and watch its connection once its body has been read."""
        if scope["type"] != "http" or not scope["path"].startswith(CALLS):
            await self.app(scope, receive, send)
            return
        read = asyncio.Event()

        async def noted() -> Message:
            if read.is_set():  # only one may wait for what comes next
                await asyncio.Future()
            message = await receive()
            if not message.get("more_body", False):
                read.set()
            return message

        async def lost() -> None:
            await read.wait()
            while (await receive())["type"] != "http.disconnect":
                pass

        call, watch = asyncio.ensure_future(self.app(scope, noted, send)), asyncio.ensure_future(lost())
        try:
            await asyncio.wait({call, watch}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            watch.cancel()
            call.cancel()  # nothing where it has ended
            await asyncio.wait({call})
        if call.cancelled():
            raise ClientDisconnect
        call.result()  # its error is the server's
