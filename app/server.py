"""One port: the HTTP routes at once, the page as soon as gradio is imported, the model when it is loaded."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import AsyncIterator
from types import FrameType

import uvicorn
from fastapi import FastAPI

from app.api import routes
from app.api.dependencies import AppState
from app.keeping import FolderKeeper
from app.live import Live
from app.logs import configure, reason
from app.security import security_stack
from app.security.clients import ClientCookie, OwnFiles
from app.security.uploads import sweep, upload_folder
from app.service import Service
from app.settings import Settings
from app.starting import Page

log = logging.getLogger(__name__)

BIND_SECONDS = 0.1  # the port first: long imports hold up everything else
TRIM_SECONDS = 3600  # how often old pictures are looked for, also where none are made; the first time at the start
CLOSE_SECONDS = 3  # how long open pages may hold up an end that was asked for


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


async def _trim(keeper: FolderKeeper) -> None:
    """Hold what is kept to its bounds, until cancelled."""
    while True:
        try:
            await asyncio.to_thread(keeper.trim)
        except Exception as error:  # a full disk, say: in an hour it may be another
            log.warning("old pictures could not be deleted: %s", reason(error))
        await asyncio.sleep(TRIM_SECONDS)


@contextlib.asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Load the model and open the page while the routes answer; at the end close everything."""
    state = AppState.of(app)
    service, settings = state.service, state.service.settings
    async with contextlib.AsyncExitStack() as stack:
        uploads = stack.enter_context(upload_folder(settings.data_dir))
        asyncio.get_running_loop().call_later(BIND_SECONDS, service.start)
        tasks = [
            asyncio.create_task(state.page.open(stack, uploads)),
            asyncio.create_task(sweep(uploads, settings.upload_seconds)),
            asyncio.create_task(_trim(service.keeper)),
        ]
        yield
        for task in tasks:
            task.cancel()
        service.close()


def build(settings: Settings) -> FastAPI:
    """Routes and page around one service; nothing is loaded before the app starts."""
    service = Service(settings)
    state = AppState(service, Page(service), Live(service))
    servers = [{"url": settings.root_path}] if settings.root_path else None
    app = FastAPI(title="Latent Lab", servers=servers, lifespan=lifespan, docs_url=None, redoc_url=None)
    app.state.latent_lab = state
    app.add_middleware(OwnFiles, clients=service.clients, folder=service.outputs, owner=service.keeper.owner)
    app.add_middleware(ClientCookie)
    app.add_middleware(  # judges first
        security_stack,
        settings=settings,
        pictures=routes.PICTURES,
        account=service.clients.account,
        refusal=service.clients.refusal,
    )
    routes.include(app)
    app.mount("/", state.page)  # last: everything that is no route is the page's
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
    state = AppState.of(app)
    server = Server(config, state.page)
    state.service.engine.on_lost = server.fail
    with contextlib.suppress(KeyboardInterrupt):  # uvicorn raises it again when everything has ended
        server.run()
    return server.status


def main() -> None:
    """The command `latent-lab`: options from the command line and the environment."""
    status = run(Settings.from_args(None, os.environ))
    logging.shutdown()
    os._exit(status)  # the engine may be inside a step, and Python's own end would abort on its thread
