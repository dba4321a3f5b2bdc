"""The page as an ASGI app of its own, with what gradio must be told once."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import gradio as gr
from fastapi import FastAPI
from gradio.context import LocalContext
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from app.engine import Requester
from app.logs import request_id
from app.security.request_log import REQUEST
from app.service import Service
from app.settings import Settings
from app.ui.gradio_patches.faster_opening import open_sooner
from app.ui.gradio_patches.lean_sessions import LeanSessions
from app.ui.gradio_patches.refusals import Unanswerable, refuse_in_a_sentence
from app.ui.gradio_patches.relative_addresses import ask_relative
from app.ui.page import build_page
from app.ui.theme import ASSETS, head, theme
from app.widgets.status import state_text


def mount_page(service: Service) -> FastAPI:
    """Build the page around a service; the result is served at the root of the port."""
    service.visitor = lambda: _visitor(service)
    app = mount_blocks(build_page(service), service.settings, allowed_paths=[str(service.outputs)])
    app.routes.insert(0, Route("/state", partial(_state, service)))  # before the page, which takes every path
    return app


async def _state(service: Service, request: Request) -> JSONResponse:
    """What the page's header says just now, in the language that is asked for: it asks every few seconds."""
    lang = "zh" if request.query_params.get("lang") == "zh" else "en"
    return JSONResponse({"phase": service.state.phase, "text": state_text(service.state, lang)})


def mount_blocks(blocks: gr.Blocks, settings: Settings, **options: Any) -> FastAPI:
    """A gr.Blocks as an ASGI app that takes no path from a client but those of files it has uploaded."""
    ask_relative()
    blocks.has_launched = True  # only then are paths that clients send checked; mounting does not set it
    blocks.state_session_capacity = settings.max_sessions
    refuse_in_a_sentence(blocks, settings.lang)
    options |= {
        "root_path": settings.root_path or None,
        "max_file_size": settings.max_upload_bytes,
        "show_error": False,
        "run_history": False,
        "theme": theme(),
        "css_paths": [ASSETS / "page.css"],
        "head": head(),
        "footer_links": [],
        "ssr_mode": False,
        "pwa": False,
        "mcp_server": False,
        "enable_monitoring": False,
    }
    app = gr.mount_gradio_app(FastAPI(openapi_url=None), blocks, path="/", **options)
    mounted = app.routes[-1].app  # the Mount that was just added
    mounted.state_holder = LeanSessions(blocks)
    mounted.add_middleware(Unanswerable)
    open_sooner(mounted)
    app.state.stop_event = mounted.stop_event
    return app


def _visitor(service: Service) -> Requester:
    """Whose event is being answered in this context, in a task of Gradio's own; nobody's client outside of any.

    What a visitor asks for is written down.
    """
    request = LocalContext.request.get(None)
    http = getattr(request, "request", None)
    number = "" if http is None else str(http.scope.get(REQUEST, ""))
    visitor = Requester(request_id=number or request_id.get())
    if request is None or request.client is None:
        return visitor
    clients, asked = service.clients, (request.headers, request.client.host)
    return replace(visitor, client=clients.of(*asked), account=clients.account(*asked), durable=True)
