"""A small reverse proxy on loopback, as nginx's proxy_pass works without further settings: it changes Host."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from tests.app.serving import in_thread

HOP_BY_HOP = {"connection", "transfer-encoding", "keep-alive", "host"}


@contextlib.contextmanager
def proxied(upstream: str, prefix: str = "", *, strip: bool = True) -> Iterator[str]:
    """The address under which `upstream` is served: at `prefix`, which upstream sees unless it is stripped."""
    client = httpx.AsyncClient(timeout=None)

    async def forward(request: Request) -> Response:
        path = request.url.path
        if not path.startswith(f"{prefix}/"):
            return Response("not this proxy's", 404)
        path = path[len(prefix) :] if strip else path
        headers = [(k, v) for k, v in request.headers.raw if k.decode().lower() not in HOP_BY_HOP]
        url = httpx.URL(upstream).copy_with(path=path, query=request.url.query.encode())
        asked = client.build_request(request.method, url, headers=headers, content=await request.body())
        answer = await client.send(asked, stream=True)

        async def body() -> AsyncIterator[bytes]:
            try:
                async for chunk in answer.aiter_raw():
                    yield chunk
            finally:
                await answer.aclose()

        kept = {k: v for k, v in answer.headers.items() if k not in HOP_BY_HOP}
        return StreamingResponse(body(), answer.status_code, kept)

    methods = ["GET", "HEAD", "POST", "OPTIONS", "DELETE"]
    app = Starlette(routes=[Route("/{path:path}", forward, methods=methods)])
    with in_thread(app) as port:
        yield f"http://localhost:{port}{prefix}/"
