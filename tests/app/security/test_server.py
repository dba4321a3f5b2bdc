"""The real server, asked for what it must not give: a file of its own, a page of another site, a private route."""

from __future__ import annotations

import json
import os
import stat
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

from tests.app.serving import Served, serve
from tests.tiny import tiny_checkpoint

TAKES_FILES = ("file", "imageeditor")


@pytest.fixture(scope="module")
def secret(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("private") / "secret.txt"
    path.write_text("nobody's business")
    return path


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """With TMPDIR/gradio, Gradio's own folder, owned so that nobody can write there."""
    folder = tmp_path_factory.mktemp("served")
    (folder / "gradio").write_text("somebody else's")
    options = ("--weights", str(tiny_checkpoint(folder)), "--output-dir", str(folder / "out"))
    with serve(folder, *options, env={"TMPDIR": str(folder), "GRADIO_TEMP_DIR": str(folder / "gradio")}) as server:
        server.wait("/readyz")
        server.wait_for_page()
        yield server


def post(served: Served, route: str, body: Any, **headers: str) -> tuple[int, str]:
    request = urllib.request.Request(
        f"{served.url}/gradio_api/{route}", json.dumps(body).encode(), {"Content-Type": "application/json", **headers}
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def cached(served: Served) -> list[Path]:
    (uploads,) = served.log.parent.glob("latent-lab.uploads-*")
    return [path for path in uploads.rglob("*") if path.is_file()]


def events(served: Served) -> list[tuple[int, list[str]]]:
    """Every event with a function, as (fn_index, kinds of its inputs)."""
    config = json.loads(served.get("/config")[1])
    kinds = {c["id"]: c["type"] for c in config["components"]}
    return [(d["id"], [kinds[i] for i in d["inputs"]]) for d in config["dependencies"] if d["backend_fn"]]


def given(kind: str, file: Any) -> Any:
    return {"background": file, "layers": [file], "composite": file} if kind == "imageeditor" else file


def test_no_event_takes_a_file_of_the_server(served: Served, secret: Path):
    """As any visitor asked for /etc/passwd: by a private function's number, the path said to be an upload."""
    file = {"path": str(secret), "meta": {"_type": "gradio.FileData"}}
    asked = 0
    for index, kinds in events(served):
        for place, kind in enumerate(kinds):
            if kind not in TAKES_FILES and place > 0:
                continue  # of the others the first will do
            asked += kind in TAKES_FILES
            for value in (given(kind, file), [file], {"a": {"b": [file]}}, given(kind, {"path": str(secret)})):
                data: list[Any] = [None] * len(kinds)
                data[place] = value
                body = {"data": data, "fn_index": index, "session_hash": "visitor"}
                answer = post(served, "run/predict", body)[1]
                assert secret.read_text() not in answer
                if kind in TAKES_FILES:
                    post(served, "queue/join", body)
                    post(served, "api/predict", body)
    assert asked >= 5
    body = served.get("/gradio_api/queue/data?session_hash=visitor")[1]
    assert secret.read_text() not in body
    assert not [path for path in cached(served) if path.read_text(errors="replace") == secret.read_text()]


def test_what_no_control_sends_leaves_no_traceback(served: Served):
    """A value that a list does not have, and values of other kinds, to every event of the page."""
    config = json.loads(served.get("/config")[1])
    props = {c["id"]: (c["type"], c["props"].get("value")) for c in config["components"]}
    before, asked = served.log.stat().st_size, 0
    for event in (d for d in config["dependencies"] if d["backend_fn"]):
        shown = [props[i][1] for i in event["inputs"]]
        for place, kind in enumerate(props[i][0] for i in event["inputs"]):
            if kind not in ("dropdown", "radio", "checkboxgroup", "json", *TAKES_FILES):
                continue
            for value in ("forged", ["forged"], {"forged": 1}):
                data = [*shown[:place], value, *shown[place + 1 :]]
                body = {"data": data, "fn_index": event["id"], "session_hash": "forger"}
                assert "Internal" not in post(served, "run/predict", body)[1]
                asked += 1
    assert asked > 100
    with served.log.open() as log:
        log.seek(before)
        assert "Traceback" not in log.read()


def test_call_routes_take_none_either(served: Served, secret: Path):
    file = {"path": str(secret), "meta": {"_type": "gradio.FileData"}}
    for route in ("call/generate", "call/v2/generate", "run/generate"):
        post(served, route, {"data": [file, file], "prompt": file, "session_hash": "caller"})
    assert not [path for path in cached(served) if path.name == "secret.txt"]
    for path in (secret, Path("/etc/passwd"), served.log, Path.cwd() / "pyproject.toml"):
        assert served.get(f"/gradio_api/file={path}")[0] == 403


@pytest.mark.parametrize(
    "path", ["proxy=http://{0}", "file=http://{0}", "file/http://{0}", "file=HTTPS:{0}", "File=//{0}"]
)
@pytest.mark.parametrize("encoded", [0, 1, 2, 3])
def test_no_form_of_an_address_is_fetched(served: Served, path: str, encoded: int):
    said = path.format("198.51.100.1/x.png")
    for _ in range(encoded):
        said = "".join(f"%{ord(c):02X}" if not c.isalnum() or c in "fh" else c for c in said)
    assert served.get(f"/gradio_api/{said}")[0] in (404, 422)


def test_an_uploaded_picture_is_taken(served: Served, tmp_path: Path):
    Image.new("RGB", (32, 32), "red").save(tmp_path / "a.png")
    with (tmp_path / "a.png").open("rb") as file:
        (path,) = httpx.post(f"{served.url}/gradio_api/upload", files={"files": file}).json()
    index = next(i for i, kinds in events(served) if kinds == ["file"])
    given = {"path": path, "meta": {"_type": "gradio.FileData"}}
    status, answer = post(served, "run/predict", {"data": [given], "fn_index": index, "session_hash": "s"})
    assert status == 200 and "no Latent Lab settings" in answer
    (uploads,) = served.log.parent.glob("latent-lab.uploads-*")
    assert stat.S_IMODE(uploads.stat().st_mode) == 0o700 and cached(served)


def test_foreign_pages_and_names_are_refused(served: Served):
    body = {"data": [""], "session_hash": "s"}
    assert post(served, "call/generate", body, Origin="https://evil.example")[0] == 403
    assert post(served, "call/generate", body, Host="evil.example")[0] == 421
    assert post(served, "call/generate", body, Origin=served.url)[0] == 200
    root = json.loads(
        urllib.request.urlopen(
            urllib.request.Request(f"{served.url}/config", headers={"X-Forwarded-Host": "evil.example"})
        ).read()
    )["root"]
    assert root == served.url


def resident(served: Served) -> int:
    """Bytes of memory the server holds."""
    pages = Path(f"/proc/{served.process.pid}/statm").read_text().split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def test_a_layer_far_away_takes_no_memory(served: Served):
    config = json.loads(served.get("/config")[1])
    editor = next(c["id"] for c in config["components"] if c["type"] == "imageeditor")
    fields = {"component_id": editor, "session_hash": "s", "fn_name": "accept_blobs", "type": "layer", "id": "x"}
    before = resident(served)
    for index, status in (("100000000", 422), ("-1", 422), ("x", 422), ("3", 200)):
        text = "".join(
            f'--b\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
            for name, value in {**fields, "index": index}.items()
        )
        text += '--b\r\nContent-Disposition: form-data; name="file"; filename="blob"\r\n\r\nx\r\n--b--\r\n'
        request = urllib.request.Request(
            f"{served.url}/gradio_api/component_server",
            text.encode(),
            {"Content-Type": "multipart/form-data; boundary=b"},
        )
        try:
            code = urllib.request.urlopen(request, timeout=60).status
        except urllib.error.HTTPError as error:
            code = error.code
        assert code == status
    assert resident(served) - before < 50_000_000


def test_a_session_is_small(served: Served):
    """100 made-up sessions: Gradio's own would be 140 MB."""
    index = next(i for i, kinds in events(served) if kinds == ["textbox"])
    ask = {"data": ["a"], "fn_index": index}
    post(served, "run/predict", {**ask, "session_hash": "warm"})
    before = resident(served)
    for k in range(100):
        assert post(served, "run/predict", {**ask, "session_hash": f"made-up-{k}"})[0] == 200
    assert resident(served) - before < 20_000_000
