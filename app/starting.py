"""The page's place in the app: it says how far things are until the page itself is there."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import threading
from collections.abc import Callable
from functools import partial
from html import escape
from pathlib import Path

from fastapi import FastAPI
from starlette.responses import HTMLResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from app.service import Service

log = logging.getLogger(__name__)

STARTING = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Latent Lab</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><meta http-equiv="refresh" content="2">
<style>:root{color-scheme:light dark}body{font:16px/1.5 system-ui,sans-serif;display:grid;place-items:center;
height:100vh;margin:0}p{opacity:.7}</style></head>
<body><main><h1>Latent Lab</h1><p role="status">SAYS</p></main></body></html>"""
LOADING = "The model is loading: {message}, {percent:.0f} %. The page opens by itself."
READY = "The model is loaded. The page opens by itself."
FAILED = "The model could not be loaded: {message}"
BROKEN = "The page could not be opened; the server's log has the details."


class Page:
    """The page's place in the app: says that things are starting until `app` is set, then hands over."""

    def __init__(self, service: Service) -> None:
        self.app: ASGIApp | None = None
        self.broken = False
        self.stop: Callable[[], object] | None = None  # ends the page's idle streams; from any thread
        self._service = service

    @property
    def ready(self) -> bool:
        """Whether the page itself is served."""
        return self.app is not None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve the page, or what stands in for it."""
        if self.app is not None:
            await self.app(scope, receive, send)
        elif scope["type"] == "http":
            html = STARTING.replace("SAYS", escape(self._says()))
            await HTMLResponse(html, headers={"Cache-Control": "no-store"})(scope, receive, send)

    async def open(self, stack: contextlib.AsyncExitStack, uploads: Path) -> None:
        """Build the page after the model's head start; its life ends with `stack`, `uploads` has what it is sent."""
        await asyncio.to_thread(self._service.loader.give_head_start)
        try:
            inner = await asyncio.to_thread(_mount_page, self._service, uploads)
            await stack.enter_async_context(inner.router.lifespan_context(inner))
            loop = asyncio.get_running_loop()
            self.app, self.stop = inner, partial(loop.call_soon_threadsafe, inner.state.stop_event.set)
        except Exception:
            self.broken = True
            log.exception("the page could not be built")
        finally:
            self._service.may_begin.set()

    def end(self) -> None:
        """End every job and every stream, so that their connections end."""
        if self.stop is not None:
            self.stop()
        threading.Thread(target=self._service.stop, daemon=True).start()

    def _says(self) -> str:
        state = self._service.state
        if self.broken:
            return BROKEN
        says = {"ready": READY, "failed": FAILED}.get(state.phase, LOADING)
        return says.format(message=state.message, percent=100 * state.progress)


def _mount_page(service: Service, uploads: Path) -> FastAPI:
    # Before gradio is imported, which makes folders there. Its own, /tmp/gradio, may be somebody else's.
    os.environ["GRADIO_TEMP_DIR"] = str(uploads)
    from app.ui.mount import mount_page  # the import takes seconds

    return mount_page(service)
