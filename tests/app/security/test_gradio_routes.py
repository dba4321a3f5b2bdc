"""No address a client sends is fetched and no path taken: a real Gradio app behind the stack, a server that counts."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import gradio as gr
import pytest
from fastapi.testclient import TestClient

from app.security import security_stack
from app.security.gradio_routes import REFUSED, fault_of, fetches
from app.settings import Settings
from app.ui.mount import mount_blocks


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


KINDS = (
    gr.Image,
    gr.ImageEditor,
    gr.File,
    gr.Gallery,
    gr.Video,
    gr.Audio,
    gr.Model3D,
    gr.MultimodalTextbox,
    gr.ImageSlider,
    gr.UploadButton,
    gr.DownloadButton,
    gr.AnnotatedImage,
    gr.Chatbot,
    gr.FileExplorer,
    gr.Textbox,
    gr.JSON,
    gr.HTML,
    gr.State,
    gr.Dataframe,
    gr.ParamViewer,
)


def build() -> gr.Blocks:
    """An event for every kind of component, /look for the first."""
    with gr.Blocks(analytics_enabled=False) as blocks:
        image, text = gr.Image(type="filepath"), gr.Textbox()
        api(lambda path: f"got {path}", [image], text, "look")
        for kind in KINDS:
            api(lambda value: str(value), [kind()], text, kind.__name__)
            api(lambda *values: str(values), [gr.File(file_count="multiple"), kind()], text, f"with-{kind.__name__}")
    return blocks


def api(function: Any, inputs: list[Any], output: Any, name: str) -> None:
    gr.Button().click(function, inputs, output, api_name=name, queue=False)


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    folder = tmp_path_factory.mktemp("uploads")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_TEMP_DIR", str(folder))  # put back afterwards
        app = security_stack(mount_blocks(build(), Settings()), Settings())
        with TestClient(app, "http://127.0.0.1") as client:
            yield client


@pytest.mark.parametrize("kind", [kind.__name__ for kind in KINDS])
def test_no_component_takes_a_file_of_the_server(client: TestClient, kind: str, tmp_path: Path):
    secret = tmp_path / "secret.txt"
    secret.write_text("nobody's business")
    folder = Path(os.environ["GRADIO_TEMP_DIR"])
    file = {"path": str(secret), "meta": {"_type": "gradio.FileData"}}
    bare = {"path": str(secret)}
    for given in (
        file,
        [file],
        {"a": [file]},
        [[file, file]],
        {"image": file, "caption": None},
        bare,
        [bare],
        str(secret),
        {"background": file, "layers": [], "composite": None},
        {"text": "", "files": [file]},
        {**file, "is_stream": True},
        {**file, "url": f"http://127.0.0.1/gradio_api/file={secret}"},
        {**file, "path": f"{folder}/../{tmp_path.name}/secret.txt"},
        [{"image": bare, "caption": None}],
    ):
        for route, data in ((f"run/{kind}", [given]), (f"run/with-{kind}", [None, given])):
            answer = client.post(f"/gradio_api/{route}", json={"data": data, "session_hash": kind})
            assert secret.read_text() not in answer.text
    assert not [path for path in folder.rglob("*") if path.is_file() and path.read_text() == secret.read_text()]
    assert client.get(f"/gradio_api/file={secret}").status_code == 403


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


@pytest.mark.parametrize("route", ["file=", "proxy=", "file/", "FILE=", "file%3D", "file%253D"])
def test_routes_that_fetch_are_closed(client: TestClient, outside: tuple[str, list[str]], route: str):
    for address in (outside[0], outside[0].upper(), outside[0].replace("/", "%2F"), outside[0].replace(":", "%3A")):
        for method in ("GET", "HEAD", "POST"):
            assert client.request(method, f"/gradio_api/{route}{address}/x.png").status_code == 422
    assert outside[1] == []


def test_paths_that_fetch():
    for path in (
        "/gradio_api/file=http://x",
        "/lab/gradio_api/file=HTTPS:/x",
        "/gradio_api/file= //x",
        "/file=ftp://x",
    ):
        assert fetches(path)
    for path in (
        "/gradio_api/file=/tmp/a.png",
        "/gradio_api/file=C:/a.png",
        "/gradio_api/file=/tmp/a http://x.png",
        "/",
    ):
        assert not fetches(path)


@pytest.mark.parametrize(
    "path",
    [
        "gradio_api/vibe-code",
        "gradio_api/process_recording",
        "gradio_api/dev/reload",
        "gradio_api/stream/a/0/1/playlist-file",
        "gradio_api/run-history/buckets",
        "gradio_api/deep_link",
        "gradio_api/profiling/traces",
        "monitoring",
        "monitoring/x",
        "gradio_api/custom_component/a/client/component/x",
    ],
)
def test_what_the_page_does_without_is_not_there(client: TestClient, path: str):
    assert client.get(f"/{path}").status_code == 404 and client.post(f"/{path}").status_code == 404


def test_ordinary_requests_pass(client: TestClient):
    assert client.get("/").status_code == 200
    uploaded = client.post("/gradio_api/upload", files={"files": ("a.txt", b"http://x/")})
    assert uploaded.status_code == 200
    answer = client.post("/gradio_api/run/look", json={"data": [None]})
    assert answer.status_code == 200 and answer.json()["data"] == ["got None"]


def test_only_files_are_looked_at():
    own = "lab:7860"
    assert fault_of(json.dumps({"data": ["http://example.org", {"prompt": "http://x/"}]}).encode(), own) == ""
    assert fault_of(b'{"data": [{"path": "/tmp/a.png", "url": "http://lab:7860/file=/tmp/a.png"}]}', own) == ""
    assert fault_of(b'{"data": [{"path": "/tmp/a.png", "url": "/gradio_api/file=/tmp/a.png"}]}', own) == ""
    assert fault_of(b'{"data": [{"path": "/tmp/a.png", "url": "http://other/file=/tmp/a.png"}]}', own) == REFUSED
    assert fault_of(b'[[{"deep": [{"path": "//other/x"}]}]]', own) == REFUSED
    assert fault_of(b'[{"path": "file:///etc/passwd"}]', own) == REFUSED
    assert fault_of(b"not json", own) == ""


@pytest.mark.parametrize("odd", ["http://[", "http://[::1", "http://a]b/", "//[x]/"])
def test_an_address_that_cannot_be_parsed_hides_no_other(odd: str):
    file = {"path": "http://other/x.png"}
    for values in ([{"url": odd}], [{"url": odd}, file], [file, {"url": odd}], [{"a": [file], "url": odd}]):
        assert fault_of(json.dumps({"data": values}).encode(), "lab:7860") == REFUSED


@pytest.mark.parametrize("kind", ["Multipart/Form-Data", "MULTIPART/FORM-DATA; boundary=x", "multipart/Form-data"])
def test_json_is_not_let_past_under_another_name(client: TestClient, kind: str):
    """Gradio's component_server reads as JSON what does not begin with multipart/form-data in small letters."""
    body = {"data": [{"path": "http://x/y.png"}], "component_id": 1, "session_hash": "s", "fn_name": "x"}
    answer = client.post("/gradio_api/component_server", content=json.dumps(body), headers={"Content-Type": kind})
    assert answer.status_code == 400 and answer.json()["detail"] != "Invalid JSON body."


def test_files_come_under_any_spelling_of_their_type(client: TestClient):
    part = b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.txt"\r\n\r\nb\r\n--x--\r\n'
    kind = {"Content-Type": "Multipart/Form-Data; Boundary=x"}
    assert client.post("/gradio_api/upload", content=part, headers=kind).status_code == 200
