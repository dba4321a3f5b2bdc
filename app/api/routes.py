"""All routes of the HTTP API on one app."""

from __future__ import annotations

from fastapi import FastAPI

from app.api import a1111, errors, files, health, history, jobs, metrics, openai

PICTURES = {  # routes whose bodies carry pictures, and how many
    "/v1/images/edits": openai.MOST_PICTURES + 1,
    "/v1/jobs": 2,
    "/sdapi/v1/img2img": 2,
    "/sdapi/v1/png-info": 1,
}


def include(app: FastAPI) -> None:
    """Add the routes, and what they remember, to an app whose state has the service."""
    app.state.idempotency = jobs.Keys()
    app.state.a1111_options = {}
    errors.install(app)
    for module in (health, openai, files, jobs, history, a1111, metrics):
        app.include_router(module.router)
