"""What stands between the network and the program: one stack of ASGI middleware around the page and all routes.

`protected` is the whole of it. docs/security.md says against what, with every limit and its option.
"""

from __future__ import annotations

from collections.abc import Mapping

from starlette.types import ASGIApp

from app.security.bodies import Bodies
from app.security.gradio_routes import GradioRoutes
from app.security.headers import ResponseHeaders
from app.security.leaving import Leaving
from app.security.origins import Origins
from app.security.prefix import Prefix
from app.settings import Settings


def protected(app: ASGIApp, settings: Settings, pictures: Mapping[str, int] | None = None) -> ASGIApp:
    """`app` behind every check; `pictures` are routes whose bodies carry that many pictures (base64 or multipart)."""
    for layer in (
        Leaving,  # innermost: a call ends with its connection
        GradioRoutes,
        lambda inner: Bodies(inner, settings, pictures or {}),
        lambda inner: Prefix(inner, settings.root_path),
        lambda inner: Origins(inner, settings),
        ResponseHeaders,  # outermost: refusals carry the headers too
    ):
        app = layer(app)
    return app
