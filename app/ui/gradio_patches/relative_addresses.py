"""Where the page asks: relative to its own address, whatever names and prefixes lie between it and this server.

Gradio writes absolute addresses into the page and into the files of every answer, made of the Host header and the
path as they arrive here. Behind a proxy that changes either, the browser cannot reach them.
"""

from __future__ import annotations

import fastapi
from gradio import route_utils

HERE = "."  # the page's <base> is its own folder, so "./gradio_api/file=…" is right in every browser
_absolute = route_utils.get_root_url


def ask_relative() -> None:
    """Make Gradio write addresses relative to the page where the page is who reads them. May be called again."""
    route_utils.get_root_url = _root


def _root(request: fastapi.Request, route_path: str, root_path: str | None) -> str:
    """In place of gradio.route_utils.get_root_url: absolute for programs, which have no page."""
    from_page = "referer" in request.headers or request.headers.get("sec-fetch-site") == "same-origin"
    return HERE if route_path == "/" or from_page else _absolute(request, route_path, root_path)
