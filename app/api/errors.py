"""Refusals of the HTTP API: one shape under /v1, and the one its clients know under /sdapi."""

from __future__ import annotations

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from app.models.folder import NotReady
from app.schemas import RequestError
from app.security.bodies import challenge
from app.security.messages import CODES, refusal

RETRY_SECONDS = "5"
STATUS = {  # of the sentence that says why a request was refused or a job failed; what is not here is 400 or 500
    "client_queue_full": 429,
    "account_queue_full": 429,
    "no_model": 404,
    **dict.fromkeys(("not_loaded", "still_loading", "queue_full", "closing", "out_of_memory"), 503),
    **dict.fromkeys(("not_kept", "history_full", "not_saved"), 503),  # no fault of the request: it may be sent again
}
MODEL_KEYS = ("no_model", "model_broken")


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


def to_api_error(error: RequestError, model: str = "model") -> ApiError:
    """A request that cannot be served, as an answer; `model` is the field that names one in the API that was called."""
    key, field = error.sentence.key, getattr(error.sentence.values.get("field"), "key", None)
    code = "not_ready" if isinstance(error, NotReady) else key
    return ApiError(STATUS.get(key, 400), code, str(error), model if key in MODEL_KEYS else field)


def install(app: FastAPI) -> None:
    """Answer errors of the API's routes in its own form."""

    async def api_error(request: Request, error: Exception) -> Response:
        assert isinstance(error, ApiError)
        return answer(request, error)

    async def request_error(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestError)
        return answer(request, to_api_error(error))

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
