"""Small things every layer needs: a header, a body, a refusal."""

from __future__ import annotations

from starlette.responses import JSONResponse
from starlette.types import Message, Receive, Scope, Send


def header(scope: Scope, name: str) -> str:
    """The first value of a request header, "" where it is absent."""
    wanted = name.lower().encode()
    return next((value.decode("latin-1") for key, value in scope["headers"] if key == wanted), "")


def is_multipart(scope: Scope) -> bool:
    """Whether the body is files and fields, not JSON."""
    return header(scope, "content-type").lower().startswith("multipart/form-data")


async def refuse(status: int, sentence: str, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with {"detail": sentence}; what is left of the body is not read, so the connection ends."""
    await JSONResponse({"detail": sentence}, status, headers={"Connection": "close"})(scope, receive, send)


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


def replayed(body: bytes, receive: Receive) -> Receive:
    """A body that was read, as the next layer expects it; then what comes after it."""
    sent = False

    async def again() -> Message:
        nonlocal sent
        if sent:
            return await receive()
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again
