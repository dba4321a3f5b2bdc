"""Every route under the prefix and without it."""

from __future__ import annotations

from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from app.api.dependencies import Caller
from app.api.files import signed_url
from app.engine import Requester
from app.security import security_stack
from app.server import build
from app.settings import Settings


async def where(request: Request) -> PlainTextResponse:
    return PlainTextResponse(request.url.path)


def client(root_path: str) -> TestClient:
    app = Starlette(routes=[Route("/{path:path}", where)])
    return TestClient(security_stack(app, Settings(root_path=root_path)), "http://127.0.0.1", follow_redirects=False)


@pytest.mark.parametrize("said", ["lab", "/lab", "lab/", "/lab/"])
def test_the_prefix_is_stripped_where_it_is_there(said: str):
    asking = client(said)
    assert Settings(root_path=said).root_path == "/lab"
    for path, seen in (("/lab/healthz", "/healthz"), ("/healthz", "/healthz"), ("/lab/", "/"), ("/labs", "/labs")):
        assert asking.get(path).text == seen
    to_folder = asking.get("/lab?lang=zh")
    assert (to_folder.status_code, to_folder.headers["location"]) == (307, "/lab/?lang=zh")
    assert asking.get("/lab/gradio_api/file=http://example.org/x").status_code == 422  # judged without the prefix


def test_without_a_prefix_nothing_changes():
    assert client("").get("/lab/healthz").text == "/lab/healthz"
    assert Settings(root_path="/").root_path == ""


@pytest.mark.parametrize("said", ["https://example.org/lab", "/a b", "/../x?y"])
def test_what_is_no_path_is_refused(said: str):
    with pytest.raises(ValueError, match="root_path must be a path like /lab"):
        Settings(root_path=said)


def test_addresses_in_answers_have_the_prefix(tmp_path: Path):
    app = build(Settings(root_path="/lab", output_dir=tmp_path))
    service = app.state.latent_lab.service
    scope = {
        "type": "http",
        "app": app,
        "headers": [(b"host", b"lab.example.org")],
        "scheme": "https",
        "path": "/",
        "server": ("lab.example.org", 443),
        "query_string": b"",
        "router": app.router,
    }
    who = Caller(service, Requester("me"), Request(scope))
    assert signed_url(who, "a.png").startswith("https://lab.example.org/lab/v1/files/a.png?expires=")


def test_openapi_names_the_prefix(tmp_path: Path):
    for prefix, servers in (("/lab", [{"url": "/lab"}]), ("", None)):
        app = build(Settings(root_path=prefix, output_dir=tmp_path))
        assert TestClient(app, "http://127.0.0.1").get(f"{prefix}/openapi.json").json().get("servers") == servers
