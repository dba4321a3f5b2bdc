"""The path under which a reverse proxy serves this."""

from __future__ import annotations

from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Receive, Scope, Send


class Prefix:
    """ASGI middleware: routes are the same with the prefix and without, so a proxy may strip it or not."""

    def __init__(self, app: ASGIApp, prefix: str) -> None:
        self.app = app
        self.prefix = prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on without the prefix."""
        if scope["type"] == "http" and self.prefix:
            path: str = scope["path"]
            if path == self.prefix:  # the page asks relative to its folder, so its address must end like one
                query = f"?{scope['query_string'].decode('latin-1')}" if scope["query_string"] else ""
                await RedirectResponse(f"{self.prefix}/{query}", 307)(scope, receive, send)
                return
            if path.startswith(f"{self.prefix}/"):
                scope = {**scope, "path": path[len(self.prefix) :]}
        await self.app(scope, receive, send)
