"""All routes of the HTTP API on one app."""

from __future__ import annotations

from fastapi import FastAPI, Request
from sse_starlette.sse import AppStatus
from starlette.exceptions import HTTPException
from starlette.routing import compile_path

from app.api import a1111, errors, files, health, history, jobs, live, metrics, openai
from app.api.errors import ApiError
from app.security.messages import OPEN_PATHS

PICTURES = {  # routes whose bodies carry pictures, and how many
    "/v1/images/edits": openai.MOST_PICTURES + 1,
    "/v1/jobs": 2,
    "/sdapi/v1/img2img": 2,
    "/sdapi/v1/png-info": 1,
}
METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"]


def include(app: FastAPI) -> None:
    """Add the routes to an app that has its AppState."""
    AppStatus.enable_automatic_graceful_drain = False  # at SIGTERM streams end with their jobs, uncut
    errors.install(app)
    for module in (health, openai, files, jobs, history, a1111, metrics, live):
        app.include_router(module.router)
    for path in ("/v1/{rest:path}", "/sdapi/{rest:path}", *OPEN_PATHS):  # else the page would answer for them
        app.add_api_route(path, nothing, methods=METHODS, include_in_schema=False)


def nothing(request: Request) -> None:
    """405 for a method that a route does not have, else 404."""
    for path, operations in request.app.openapi()["paths"].items():
        if compile_path(path)[0].match(request.url.path):
            methods = ", ".join(sorted(name.upper() for name in operations))
            raise HTTPException(405, f"This takes {methods} only.", {"Allow": methods})
    raise ApiError(404, "not_found", "There is no such route.")
