"""Signed addresses of pictures."""

from __future__ import annotations

from pathlib import Path

from PIL import Image
from starlette.requests import Request
from starlette.testclient import TestClient

from app.api.dependencies import Caller
from app.api.files import form_of, signed_url
from app.engine import Requester
from app.server import build
from app.settings import Settings


def test_an_address_outlives_the_process_and_opens_nothing_else(tmp_path: Path) -> None:
    def opened(folder: str) -> tuple[TestClient, Caller]:
        app = build(Settings(data_dir=tmp_path / folder))
        app.state.latent_lab.service.outputs.mkdir(parents=True, exist_ok=True)
        for name in ("a.png", "b.png"):
            (app.state.latent_lab.service.outputs / name).write_bytes(name.encode())
        scope = {"type": "http", "app": app, "router": app.router, "path": "/", "query_string": b"", "headers": []}
        request = Request({**scope, "scheme": "http", "server": ("127.0.0.1", 80)})
        return TestClient(app, "http://127.0.0.1"), Caller(app.state.latent_lab.service, Requester("me"), request)

    client, who = opened("one")
    address = signed_url(who, "a.png")
    assert client.get(address).content == b"a.png"
    head = client.head(address)
    assert (head.status_code, head.headers["content-length"], head.content) == (200, "5", b"")
    who.service.close()
    for folder, status in (("one", 200), ("two", 404)):  # the same data folder, another one
        client, who = opened(folder)
        assert client.get(address).status_code == status
        assert client.get(address.replace("a.png", "b.png")).status_code == 404
        who.service.close()


def test_another_site_s_page_may_show_what_was_signed_and_nothing_else(tmp_path: Path) -> None:
    app = build(Settings(data_dir=tmp_path, root_path="/lab"))
    app.state.latent_lab.service.outputs.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 8)).save(app.state.latent_lab.service.outputs / "a.png")
    scope = {"type": "http", "app": app, "router": app.router, "path": "/", "query_string": b"", "headers": []}
    request = Request({**scope, "scheme": "http", "server": ("127.0.0.1", 80)})
    who = Caller(app.state.latent_lab.service, Requester("me"), request)
    client = TestClient(app, "http://127.0.0.1")
    for url, policy in (
        (signed_url(who, "a.png"), "cross-origin"),
        (signed_url(who, "a.png", form_of("webp", (4, 4), 90)), "cross-origin"),
        ("/lab/v1/files/b.png", "same-origin"),
        ("/lab/v1/models", "same-origin"),
        ("/lab/", "same-origin"),
    ):
        assert client.get(url).headers["cross-origin-resource-policy"] == policy, url
    who.service.close()
