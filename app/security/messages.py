"""Small things every layer needs: a header, a body, a refusal in the form of the API that was called."""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import Callable, Mapping

from starlette.formparsers import MultiPartException
from starlette.responses import JSONResponse
from starlette.types import Message, Receive, Scope, Send

PROBES = ("/healthz", "/readyz")  # what monitors and load balancers ask every few seconds
OPEN_PATHS = (*PROBES, "/metrics", "/openapi.json")
MULTIPART = "multipart/form-data"
LATE = "The request took too long to arrive."
CODES = {
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    405: "not_allowed",
    408: "too_slow",
    411: "length_required",
    413: "too_large",
    421: "unknown_host",
    422: "refused",
    429: "too_many_requests",
    500: "internal",
}


def header(scope: Scope, name: str) -> str:
    """The first value of a request header, "" where it is absent."""
    wanted = name.lower().encode()
    return next((value.decode("latin-1") for key, value in scope["headers"] if key == wanted), "")


def is_multipart(scope: Scope) -> bool:
    """Whether the body is files and fields, not JSON."""
    return header(scope, "content-type").lower().startswith(MULTIPART)


def credential(authorization: str) -> str:
    """The bearer token, or the password of Basic authentication; "" without either."""
    scheme, _, value = authorization.partition(" ")
    if scheme.lower() == "bearer":
        return value.strip()
    if scheme.lower() != "basic":
        return ""
    try:
        return base64.b64decode(value, validate=True).decode().partition(":")[2]
    except (binascii.Error, UnicodeDecodeError):
        return ""


def is_api(path: str) -> bool:
    """Whether a path is the HTTP API's and not the page's."""
    return path.startswith(("/v1/", "/sdapi/")) or path in OPEN_PATHS


def refusal(path: str, status: int, code: str, sentence: str, param: str | None = None) -> dict[str, object]:
    """What a refusal says: one shape under /v1, the one its clients know under /sdapi, Gradio's for the page."""
    if path.startswith("/sdapi"):
        return {"error": code, "detail": sentence, "errors": sentence}
    if not is_api(path):
        return {"detail": sentence}
    kind = "invalid_request_error" if status < 500 else "server_error"
    return {"error": {"code": code, "message": sentence, "param": param, "type": kind}}


async def refuse(
    status: int, sentence: str, scope: Scope, receive: Receive, send: Send, headers: Mapping[str, str] | None = None
) -> None:
    """Answer with the sentence; what is left of the body is not read, so the connection ends."""
    body = refusal(scope["path"], status, CODES.get(status, "refused"), sentence)
    await JSONResponse(body, status, {"Connection": "close", **(headers or {})})(scope, receive, send)


async def read_body(receive: Receive, most: int | None = None) -> bytes | None:
    """The whole body, None where it is longer than `most` bytes."""
    body = bytearray()
    while True:
        message = await receive()
        body += message.get("body", b"")
        if most is not None and len(body) > most:
            return None
        if message["type"] == "http.disconnect" or not message.get("more_body", False):
            return bytes(body)


def with_timeout(receive: Receive, seconds: float, late: Callable[[], None]) -> Receive:
    """A multipart body that has to be there within this time; else `late` is told, and its parsing ends."""
    end, whole = asyncio.get_running_loop().time() + seconds, False

    async def on() -> Message:
        nonlocal whole
        if whole:  # what comes now is the end of the connection
            return await receive()
        try:
            async with asyncio.timeout_at(end):
                message = await receive()
        except TimeoutError:
            late()
            raise MultiPartException(LATE) from None
        whole = not message.get("more_body", False)
        return message

    return on


def replay_body(body: bytes, receive: Receive) -> Receive:
    """A body that was read, as the next layer expects it; then what comes after it."""
    sent = False

    async def again() -> Message:
        nonlocal sent
        if sent:
            return await receive()
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again
