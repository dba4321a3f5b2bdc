"""A request that no page sends is refused in one sentence, whatever component or route it names."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import gradio as gr
import pytest
from fastapi.testclient import TestClient

from app.schemas import RequestError
from app.security import security_stack
from app.settings import Settings
from app.ui.mount import mount_blocks

CHOICES = ["a", "b"]
FORGED = "forged"
CONTROLS: dict[str, tuple[Any, tuple[Any, ...]]] = {  # name → a control, and what nobody can make it send
    "dropdown": (lambda: gr.Dropdown(CHOICES, value="a"), (FORGED, 5, None, [], ["a"], {"a": 1}, True)),
    "own words": (lambda: gr.Dropdown(CHOICES, value="a", allow_custom_value=True), (5, None, [], ["a"], {"a": 1})),
    "several": (lambda: gr.Dropdown(CHOICES, multiselect=True), ("a", [FORGED], [["a"]], [None], None, {})),
    "radio": (lambda: gr.Radio(CHOICES, value="a"), (FORGED, 5, None, [], ["a"], {"a": 1})),
    "checks": (lambda: gr.CheckboxGroup(CHOICES), (FORGED, [FORGED], 5, None, [["a"]], True)),
    "check": (lambda: gr.Checkbox(), (FORGED, 5, [], {})),
    "text": (lambda: gr.Textbox(), (5, [], ["a"], {"a": 1}, True)),
    "html": (lambda: gr.HTML(), (5, [], {"a": 1})),
    "slider": (lambda: gr.Slider(0, 1), (FORGED, 5, -1, [], {}, None)),
    "number": (lambda: gr.Number(maximum=1), (5, [], {})),
    "file": (lambda: gr.File(), (FORGED, 5, [], {}, {"a": 1})),
    "picture": (lambda: gr.Image(), (FORGED, 5, [], {}, {"path": "/etc/passwd"})),
    "canvas": (lambda: gr.ImageEditor(), (FORGED, 5, [], {"layers": 3}, {"background": "x", "layers": []})),
    "gallery": (lambda: gr.Gallery(), (FORGED, 5, [5], {"a": 1})),
}


def build() -> gr.Blocks:
    def say(value: Any) -> str:
        return f"got {value}"

    def refuse() -> str:
        raise RequestError("prompt_missing")

    with gr.Blocks(analytics_enabled=False) as blocks:
        text = gr.Textbox()
        for name, (make, _) in CONTROLS.items():
            gr.Button().click(say, make(), text, api_name=name, queue=False)
        gr.Button().click(refuse, None, text, api_name="refuses", queue=False)
        gr.Button().click(None, None, text, js="() => 'a'")
    return blocks


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_TEMP_DIR", str(tmp_path_factory.mktemp("uploads")))
        app = security_stack(mount_blocks(build(), Settings()), Settings())
        with TestClient(app, "http://127.0.0.1") as client:
            yield client


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, (_, them) in CONTROLS.items() for value in them])
def test_a_value_that_no_control_has(client: TestClient, capfd: pytest.CaptureFixture[str], name: str, value: Any):
    answer = client.post(f"/gradio_api/run/{name}", json={"data": [value], "session_hash": "s"})
    assert answer.json()["error"] == "The page has no such choice here; please load it again."
    assert "Traceback" not in "".join(capfd.readouterr())


def test_values_that_controls_have_pass(client: TestClient):
    for name, value in (("dropdown", "b"), ("own words", "c"), ("several", []), ("radio", "a"), ("checks", ["b"])):
        answer = client.post(f"/gradio_api/run/{name}", json={"data": [value]})
        assert answer.json()["data"] == [f"got {value}"]


def test_a_refusal_of_a_function_is_said(client: TestClient, capfd: pytest.CaptureFixture[str]):
    answer = client.post("/gradio_api/run/refuses", json={"data": []})
    assert answer.json()["error"] == "The prompt is missing."
    assert "Traceback" not in "".join(capfd.readouterr())


@pytest.mark.parametrize("route", ["run/x", "run/%00", "api/x", "call/x", "call/v2/x", "component_server", "cancel"])
@pytest.mark.parametrize(
    "body",
    [
        '{"data": [], "fn_index": 99999}',
        '{"data": [], "fn_index": -1}',
        f'{{"data": [], "fn_index": {len(CONTROLS) + 1}}}',  # what the browser does alone
        '{"data": [], "fn_index": 0, "batched": true}',
        '{"data": [NaN], "fn_index": "x"}',
        '{"data": [1e999]}',
        '{"component_id": 99999, "fn_name": "x", "session_hash": "s", "data": []}',
        "NaN",
        "{}",
        r'{"data": ["\ud800"], "fn_index": 0}',
    ],
)
def test_what_is_no_event(client: TestClient, capfd: pytest.CaptureFixture[str], route: str, body: str):
    answer = client.post(f"/gradio_api/{route}", content=body, headers={"Content-Type": "application/json"})
    assert json.loads(answer.text) and "Internal" not in answer.text
    assert "Traceback" not in "".join(capfd.readouterr())


@pytest.mark.parametrize("path", ["queue/data?session_hash=gone", "call/dropdown/gone"])
def test_a_session_that_has_ended(client: TestClient, capfd: pytest.CaptureFixture[str], path: str):
    """As every open page asks after the server was started again."""
    assert client.get(f"/gradio_api/{path}").text.strip()
    assert "Traceback" not in "".join(capfd.readouterr())
