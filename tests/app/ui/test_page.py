"""The page as it is built and as its endpoint answers, over HTTP and without a browser."""

from __future__ import annotations

import contextlib
import json
import re
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import gradio as gr
import httpx
import pytest
from fastapi.testclient import TestClient
from gradio.block_function import BlockFunction
from gradio_client import Client
from gradio_client.exceptions import AppError

from app.engine import Cancelled, Job
from app.metadata import read_png
from app.models.folder import ModelFile, ModelFolder
from app.security import security_stack
from app.ui.mount import mount_page
from app.ui.page import build_page
from ldm_core.sampling import Limits, SamplingParams
from ldm_core.shipped import EMOJI_128
from tests.app.serving import in_thread, until
from tests.app.ui.fake import FakeService, asked_in


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> FakeService:
    return FakeService(tmp_path_factory.mktemp("out"), step_seconds=0.01)


@pytest.fixture(scope="module")
def url(service: FakeService) -> Iterator[str]:
    with in_thread(security_stack(mount_page(service), service.settings)) as port:  # type: ignore[arg-type]
        yield f"http://127.0.0.1:{port}/"


@pytest.fixture(scope="module")
def client(url: str, tmp_path_factory: pytest.TempPathFactory) -> Client:
    return Client(url, verbose=False, download_files=tmp_path_factory.mktemp("fetched"), analytics_enabled=False)


def test_the_page_tells_its_state_at_every_moment(url: str, service: FakeService):
    assert httpx.get(f"{url}state").json() == {"phase": "ready", "text": "fake · CPU fp32 · ready"}
    before = service.state
    service.state = replace(before, runtime="openvino", dtype="bfloat16")
    assert httpx.get(f"{url}state?lang=zh").json()["text"] == "fake · OpenVINO bf16 · 就绪"
    service.state = before


@pytest.fixture(scope="module")
def built(service: FakeService) -> gr.Blocks:
    return build_page(service)  # type: ignore[arg-type]


def test_every_id_is_one_component_s(built: gr.Blocks):
    """The page's script presses a button by its id: of two it would press the wrong one."""
    components = built.config["components"]
    ids = [component["props"].get("elem_id") for component in components if component["props"].get("elem_id")]
    assert len(ids) > 100 and sorted(ids) == sorted(set(ids))


def pressed(page: gr.Blocks, elem_id: str) -> list[BlockFunction]:
    """What a click on this button does."""
    button = next(block for block in page.blocks.values() if block.elem_id == elem_id)
    return [event for event in page.fns.values() if (button._id, "click") in event.targets]


def test_reset_takes_size_and_guidance_from_the_model_of_now(
    built: gr.Blocks, service: FakeService, monkeypatch: pytest.MonkeyPatch
):
    """The page is built while the model loads, with limits of the operator's."""
    limits = Limits(image_size=512, guidance_scale=7.5)
    monkeypatch.setattr(service, "limits", limits)
    monkeypatch.setattr(service, "models", ModelFolder(Path("fake"), limits))
    local, asked = pressed(built, "reset")
    owned = {"width": 512, "height": 512, "guidance-scale": 7.5}
    assert local.fn is None and not owned.keys() & {str(output.elem_id) for output in local.outputs}
    assert asked.fn is not None
    assert {field.elem_id: update["value"] for field, update in asked.fn("").items()} == owned


def test_a_class_may_press_a_button_together(built: gr.Blocks):
    """Whatever runs for long says at once that it is sending, and no press waits for another's end."""
    ids = {str(block.elem_id) for block in built.blocks.values()}
    runs = {name for name in ids if name.endswith("-run")} - {"training-run"}  # one for everybody, begun at once
    assert len(runs) > 7
    for name in runs | {"generate", "many-start"}:
        local, asked = pressed(built, name)
        assert local.fn is None and "sending" in str(local.js), name
        assert asked.concurrency_limit is None, name


def test_another_language_keeps_the_chosen_model_s_chips(
    built: gr.Blocks, service: FakeService, monkeypatch: pytest.MonkeyPatch
):
    models = ModelFolder(Path("fake"), Limits())
    models._others.append(ModelFile("other", EMOJI_128))  # knows its words; the page's own has an open vocabulary
    monkeypatch.setattr(service, "models", models)
    (switch,) = pressed(built, "language")
    assert switch.fn is not None
    chips = next(part for part in switch.outputs if part.elem_id == "chips")
    shown = switch.fn("a tree", "other", asked_in("zh"))[chips]
    assert "风格" in shown["value"] and shown["visible"]
    assert not switch.fn("a tree", "", asked_in("zh"))[chips]["visible"]


def test_one_public_endpoint(client: Client):
    api = client.view_api(return_format="dict", print_info=False)
    assert list(api["named_endpoints"]) == ["/generate"] and not api["unnamed_endpoints"]
    names = [p["parameter_name"] for p in api["named_endpoints"]["/generate"]["parameters"]]
    expected = "prompt negative_prompt steps eta guidance_scale sampler seed width height"
    assert names == expected.split()


def test_generate_returns_the_file_and_what_made_it(client: Client):
    path, info = client.predict("a cat", steps=3, seed=7, api_name="/generate")
    made, _ = read_png(Path(path))
    assert made == SamplingParams("a cat", steps=3, seed=7, guidance_scale=Limits().guidance_scale)
    assert SamplingParams.from_dict(info["request"]) == made
    assert (info["width"], info["height"]) == (128, 128)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"prompt": " "}, "Please type a prompt"),
        ({"prompt": "a", "steps": 0}, "Steps must be at least 1, not 0."),
        ({"prompt": "a", "width": 7}, "Width must be a multiple of 32"),
        ({"prompt": "a", "steps": "many"}, "Steps must be a number."),
        ({"prompt": "fail"}, "this prompt always fails"),
    ],
)
def test_faults_are_one_sentence(client: Client, arguments: dict[str, object], sentence: str):
    with pytest.raises(AppError, match=sentence):
        client.predict(**arguments, api_name="/generate")


def jobs(service: FakeService, prompt: str) -> list[Job]:
    return [job for job in service.engine._jobs.values() if job.request.prompt == prompt]


def test_a_cancelled_call_frees_the_worker(client: Client, service: FakeService):
    call = client.submit("slow", steps=1000, api_name="/generate")
    until(lambda: jobs(service, "slow"), 30)
    call.cancel()
    until(lambda: jobs(service, "slow")[0].done, 30)


def begin(url: str, way: str, body: dict[str, object]) -> None:
    """Ask for a picture in one of the ways clients do, and leave as soon as it is being made."""
    with httpx.Client(base_url=f"{url}gradio_api/", timeout=30) as client:
        if way == "run/generate":
            with contextlib.suppress(httpx.ReadTimeout):
                client.post(way, json=body, timeout=1)
            return
        asked = client.post(way, json=body).json()["event_id"]
        data = f"queue/data?session_hash={way}" if way == "queue/join" else f"call/generate/{asked}"
        with contextlib.suppress(httpx.ReadTimeout), client.stream("GET", data, timeout=1) as stream:
            for _ in stream.iter_lines():
                pass


@pytest.mark.parametrize("way", ["queue/join", "call/generate", "run/generate"])
def test_the_job_of_a_client_that_left_is_cancelled(
    url: str, service: FakeService, way: str, capfd: pytest.CaptureFixture[str]
):
    config = httpx.get(f"{url}config").json()
    index = next(d["id"] for d in config["dependencies"] if d["api_name"] == "generate")
    prompt = f"left by {way}"
    values = [prompt, "", 1000, 0.0, 5.0, "ddim", 7, None, None]
    begin(url, way, {"data": values, "fn_index": index, "session_hash": way})
    until(lambda: jobs(service, prompt), 30)
    (job,) = jobs(service, prompt)
    until(lambda: job.done, 5)
    assert isinstance(job.events[-1], Cancelled)
    time.sleep(0.5)  # what is said about the call is said after it
    assert "Traceback" not in "".join(capfd.readouterr())


def test_a_web_address_as_a_file_is_refused(url: str):
    file = {"path": "http://example.org/a.png", "meta": {"_type": "gradio.FileData"}}
    body = json.dumps({"data": [file], "fn_index": 0, "session_hash": "s"}).encode()
    for route in ("queue/join", "run/generate", "call/generate"):
        request = urllib.request.Request(f"{url}gradio_api/{route}", body, {"Content-Type": "application/json"})
        with pytest.raises(urllib.error.HTTPError, match="422"):
            urllib.request.urlopen(request)


def test_behind_a_proxy_the_page_knows_its_prefix(tmp_path: Path):
    service = FakeService(tmp_path)
    service.settings = replace(service.settings, root_path="/lab")
    with TestClient(mount_page(service)) as client:  # type: ignore[arg-type]
        assert client.get("/config").json()["root"].endswith("/lab")
    service.engine.close()


def test_the_page_names_no_other_host(url: str):
    html = urllib.request.urlopen(url).read().decode()
    loaded = re.findall(r"""(?:src|href)=["'](?:https?:)?//([^"'/]+)""", html)
    assert not [host for host in loaded if not host.startswith("127.0.0.1")]
