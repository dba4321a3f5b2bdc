"""No address a client sends is fetched: a real Gradio app behind the guard, a server that counts its visitors."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import gradio as gr
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from app.ui.guard import MAX_BODY, RefuseRemoteFiles, names_remote_file


@pytest.fixture(scope="module")
def outside() -> Iterator[tuple[str, list[str]]]:
    """A loopback server standing for any other host, and the paths that were asked of it."""
    visits: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            visits.append(self.path)
            self.send_response(200)
            self.end_headers()

        do_HEAD = do_GET

        def log_message(self, *args: Any) -> None: ...

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", visits
    server.shutdown()


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient]:
    with gr.Blocks(analytics_enabled=False) as blocks:
        image, text = gr.Image(type="filepath"), gr.Textbox()
        image.change(lambda path: f"got {path}", image, text, api_name="look", queue=False)
    app = FastAPI()
    app.add_middleware(RefuseRemoteFiles)
    with TestClient(gr.mount_gradio_app(app, blocks, path="/")) as client:
        yield client


@pytest.mark.parametrize("route", ["run/look", "api/look", "call/look", "queue/join"])
@pytest.mark.parametrize("prefix", ["", " ", "HTTP"])
def test_a_web_address_as_a_file_is_refused(
    client: TestClient, outside: tuple[str, list[str]], route: str, prefix: str
):
    address = f"{outside[0]}/secret.png"
    address = address.replace("http", "HTTP") if prefix == "HTTP" else prefix + address
    file = {"path": address, "meta": {"_type": "gradio.FileData"}}
    body = {"data": [file], "fn_index": 0, "session_hash": "s", "event_data": None}
    answer = client.post(f"/gradio_api/{route}", json=body)
    assert answer.status_code == 422 and "web address" in answer.json()["detail"]
    assert outside[1] == []


@pytest.mark.parametrize("route", ["file=", "proxy="])
def test_routes_that_fetch_are_closed(client: TestClient, outside: tuple[str, list[str]], route: str):
    assert client.get(f"/gradio_api/{route}{outside[0]}/x.png").status_code == 422
    assert outside[1] == []


def test_ordinary_requests_pass(client: TestClient):
    assert client.get("/").status_code == 200
    uploaded = client.post("/gradio_api/upload", files={"files": ("a.txt", b"http://x/")})
    assert uploaded.status_code == 200
    answer = client.post("/gradio_api/run/look", json={"data": [None]})
    assert answer.status_code == 200 and answer.json()["data"] == ["got None"]


def test_only_files_are_looked_at():
    own = frozenset({"lab:7860"})
    assert not names_remote_file(json.dumps({"data": ["http://example.org", {"prompt": "http://x/"}]}).encode(), own)
    assert not names_remote_file(b'{"data": [{"path": "/tmp/a.png", "url": "http://lab:7860/file=/tmp/a.png"}]}', own)
    assert names_remote_file(b'{"data": [{"path": "/tmp/a.png", "url": "http://other/file=/tmp/a.png"}]}', own)
    assert names_remote_file(b'[[{"deep": [{"path": "//other/x"}]}]]', own)
    assert not names_remote_file(b"not json", own)


def test_endless_bodies_are_refused(client: TestClient):
    assert client.post("/gradio_api/run/look", content=b"x" * (MAX_BODY + 1)).status_code == 413
