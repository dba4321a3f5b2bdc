"""One port: the HTTP routes at once, the page as soon as gradio is imported, the model when it is loaded."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import threading
from collections.abc import AsyncIterator, Callable
from functools import partial
from html import escape
from pathlib import Path
from types import FrameType

import uvicorn
from fastapi import FastAPI
from starlette.responses import HTMLResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from app.api import routes
from app.api.health import BROKEN
from app.keeping import FolderKeeper
from app.logs import configure, reason
from app.security import security_stack
from app.security.clients import ClientCookie, OwnFiles
from app.security.uploads import sweep, upload_folder
from app.service import Service
from app.settings import Settings

log = logging.getLogger(__name__)

STARTING = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Latent Lab</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><meta http-equiv="refresh" content="2">
<style>:root{color-scheme:light dark}body{font:16px/1.5 system-ui,sans-serif;display:grid;place-items:center;
height:100vh;margin:0}p{opacity:.7}</style></head>
<body><main><h1>Latent Lab</h1><p role="status">SAYS</p></main></body></html>"""
LOADING = "The model is loading: {message}, {percent:.0f} %. The page opens by itself."
READY = "The model is loaded. The page opens by itself."
FAILED = "The model could not be loaded: {message}"
BIND_SECONDS = 0.1  # the port first: long imports hold up everything else
TRIM_SECONDS = 3600  # how often old pictures are looked for, also where none are made; the first time at the start
CLOSE_SECONDS = 3  # how long open pages may hold up an end that was asked for


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


class Server(uvicorn.Server):
    """Answers whoever waits before it ends: uvicorn itself would wait for their connections, and then cut them."""

    def __init__(self, config: uvicorn.Config, page: Page) -> None:
        super().__init__(config)
        self._page = page
        self.status = 0  # of the process

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """On SIGINT or SIGTERM; the second one does not wait."""
        if not self.should_exit:
            self._page.end()
        super().handle_exit(sig, frame)

    def fail(self) -> None:
        """End as on SIGTERM, from any thread, with a status by which whoever watches starts the program again."""
        self.status, self.should_exit = 1, True
        self._page.end()


def _mount_page(service: Service, uploads: Path) -> FastAPI:
    # Before gradio is imported, which makes folders there. Its own, /tmp/gradio, may be somebody else's.
    os.environ["GRADIO_TEMP_DIR"] = str(uploads)
    from app.ui.mount import mount_page  # the import takes seconds

    return mount_page(service)


async def _trim(keeper: FolderKeeper) -> None:
    """Hold what is kept to its bounds, until cancelled."""
    while True:
        try:
            await asyncio.to_thread(keeper.trim)
        except Exception as error:  # a full disk, say: in an hour it may be another
            log.warning("old pictures could not be deleted: %s", reason(error))
        await asyncio.sleep(TRIM_SECONDS)


def build(settings: Settings) -> FastAPI:
    """Routes and page around one service; nothing is loaded before the app starts."""
    service = Service(settings)
    page = Page(service)

    async def open_page(stack: contextlib.AsyncExitStack, uploads: Path) -> None:
        await asyncio.to_thread(service.loader.give_head_start)
        try:
            inner = await asyncio.to_thread(_mount_page, service, uploads)
            await stack.enter_async_context(inner.router.lifespan_context(inner))
            loop = asyncio.get_running_loop()
            page.app, page.stop = inner, partial(loop.call_soon_threadsafe, inner.state.stop_event.set)
        except Exception:
            page.broken = True
            log.exception("the page could not be built")
        finally:
            service.may_begin.set()

    @contextlib.asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        async with contextlib.AsyncExitStack() as stack:
            uploads = stack.enter_context(upload_folder(settings.data_dir))
            asyncio.get_running_loop().call_later(BIND_SECONDS, service.start)
            tasks = [
                asyncio.create_task(open_page(stack, uploads)),
                asyncio.create_task(sweep(uploads, settings.upload_seconds)),
                asyncio.create_task(_trim(service.keeper)),
            ]
            yield
            for task in tasks:
                task.cancel()
            service.close()

    servers = [{"url": settings.root_path}] if settings.root_path else None
    app = FastAPI(title="Latent Lab", servers=servers, lifespan=lifespan, docs_url=None, redoc_url=None)
    app.add_middleware(OwnFiles, clients=service.clients, folder=service.outputs, owner=service.keeper.owner)
    app.add_middleware(ClientCookie)
    app.add_middleware(  # judges first
        security_stack,
        settings=settings,
        pictures=routes.PICTURES,
        account=service.clients.account,
        refusal=service.clients.refusal,
    )
    app.state.service, app.state.page = service, page
    routes.include(app)
    app.mount("/", page)  # last: everything that is no route is the page's
    return app


def run(settings: Settings) -> int:
    """Serve until interrupted, or until no picture can be made any more; the process's status."""
    configure(settings.log_format)
    log.info("Latent Lab at http://%s:%d", settings.host, settings.port)
    try:
        app = build(settings)
    except OSError as error:
        raise SystemExit(f"The output folder cannot be used: {error.strerror}: {error.filename}.") from None
    except ValueError as error:  # the data folder's
        raise SystemExit(f"{error}.") from None
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        log_level="warning",
        log_config=None,
        timeout_graceful_shutdown=CLOSE_SECONDS,
        proxy_headers=False,  # app.security judges whom to believe
    )
    server = Server(config, app.state.page)
    app.state.service.engine.on_lost = server.fail
    with contextlib.suppress(KeyboardInterrupt):  # uvicorn raises it again when everything has ended
        server.run()
    return server.status


def main() -> None:
    """The command `latent-lab`: options from the command line and the environment."""
    status = run(Settings.from_args(None, os.environ))
    logging.shutdown()
    os._exit(status)  # the engine may be inside a step, and Python's own end would abort on its thread
