"""Refusals of the HTTP API: one shape under /v1, and the one its clients know under /sdapi."""

from __future__ import annotations

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from app.engine import QueueFull
from app.models import NotReady
from app.schemas import RequestError
from app.security.bodies import challenge
from app.security.messages import CODES, refusal

RETRY_SECONDS = "5"


class ApiError(Exception):
    """A refusal with its status; `param` names the field at fault."""

    def __init__(self, status: int, code: str, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.param = status, code, message, param


def answer(request: Request, error: ApiError) -> Response:
    """The error as JSON in the form of the API that was called."""
    body = refusal(request.url.path, error.status, error.code, error.message, error.param)
    headers = {"Retry-After": RETRY_SECONDS} if error.status in (429, 503) else {}
    if error.status == 409:  # else OpenAI's client asks again for what was cancelled
        headers["X-Should-Retry"] = "false"
    if error.status == 401:
        headers |= challenge(request.url.path)
    return JSONResponse(body, error.status, headers)


def refused(error: RequestError) -> ApiError:
    """A request that cannot be served, as an answer: 400, 429 while the client's queue is full, 503 while ours or the
    disk is.
    """
    if isinstance(error, NotReady):
        return ApiError(503, "not_ready", str(error))
    if isinstance(error, QueueFull):
        mine = error.sentence.key == "client_queue_full"
        return ApiError(429 if mine else 503, error.sentence.key, str(error))
    if error.sentence.key in ("no_model", "model_broken"):
        return ApiError(404 if error.sentence.key == "no_model" else 400, error.sentence.key, str(error), "model")
    field = error.sentence.values.get("field")
    ours = error.sentence.key in ("not_kept", "history_full")  # no fault of the request: it may be sent again
    return ApiError(503 if ours else 400, error.sentence.key, str(error), getattr(field, "key", None))


def install(app: FastAPI) -> None:
    """Answer errors of the API's routes in its own form."""

    async def api_error(request: Request, error: Exception) -> Response:
        assert isinstance(error, ApiError)
        return answer(request, error)

    async def request_error(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestError)
        return answer(request, refused(error))

    async def invalid(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"][1:]) or None
        return answer(request, ApiError(400, "invalid", f"{field or 'The request'}: {first['msg']}.", field))

    async def http_error(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        code = CODES.get(error.status_code, "invalid")
        said = answer(request, ApiError(error.status_code, code, str(error.detail)))
        said.headers.update(error.headers or {})
        return said

    app.add_exception_handler(HTTPException, http_error)
    app.add_exception_handler(ApiError, api_error)
    app.add_exception_handler(RequestError, request_error)
    app.add_exception_handler(RequestValidationError, invalid)
