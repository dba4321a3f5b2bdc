"""/v1/jobs as a program uses it: events that resume, keys that repeat, and nobody else's."""

from __future__ import annotations

import base64
import io
import json
import time
from typing import Any

import httpx
import pytest
from PIL import Image

from tests.app.serving import Served
from tests.clients.conftest import KEY

JSON = {"Content-Type": "application/json"}


@pytest.fixture
def mine(served: Served) -> httpx.Client:
    return httpx.Client(base_url=served.url, headers={"Authorization": f"Bearer {KEY}"}, timeout=60)


@pytest.fixture
def other(served: Served) -> httpx.Client:
    return httpx.Client(base_url=served.url, headers={"Authorization": f"Bearer {KEY}-2"}, timeout=60)


def create(client: httpx.Client, headers: dict[str, str] | None = None, **values: Any) -> dict[str, Any]:
    answer = client.post("/v1/jobs", json={"prompt": "a", "steps": 3, **values}, headers=headers)
    assert answer.status_code == 202, answer.text
    return answer.json()


def read(client: httpx.Client, job_id: str, after: int = 0) -> list[tuple[int, str, dict[str, Any]]]:
    events = []
    with client.stream("GET", f"/v1/jobs/{job_id}/events", headers={"Last-Event-ID": str(after)}) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        fields: dict[str, str] = {}
        for line in answer.iter_lines():
            if line:
                name, _, value = line.partition(": ")
                fields[name] = value
            elif "data" in fields:
                events.append((int(fields["id"]), fields["event"], json.loads(fields["data"])))
                fields = {}
    return events


def test_a_job_to_its_pictures(mine: httpx.Client) -> None:
    job = create(mine, batch=2, seed=3)
    events = read(mine, job["id"])
    assert [name for _, name, _ in events if name != "step"] in (["queued", "started", "done"], ["started", "done"])
    state = mine.get(f"/v1/jobs/{job['id']}").json()
    assert state["status"] == "done" and [image["seed"] for image in state["images"]] == [3, 4]
    file = httpx.get(state["images"][0]["url"])
    assert Image.open(io.BytesIO(file.content)).size == (32, 32)


def test_every_setting_of_a_generation_is_taken(mine: httpx.Client) -> None:
    settings = {"timestep_spacing": "trailing", "variation_seed": 9, "variation_strength": 0.2, "eta": 0.5, "seed": 3}
    job = create(mine, **settings, sampler="ddim", guidance_interval=[0.1, 0.9])
    assert settings.items() <= job["request"].items()


def test_events_resume_after_the_last_one_seen(mine: httpx.Client) -> None:
    job = create(mine)
    events = read(mine, job["id"])
    number = events[0][0]
    again = read(mine, job["id"], number)  # overtaken steps may be left out
    assert again[-1][:2] == events[-1][:2]
    assert {e[0] for e in again} <= {e[0] for e in events} and all(e[0] > number for e in again)
    assert read(mine, job["id"], events[-1][0]) == events[-1:], "the end is told to whoever asks"
    assert read(mine, job["id"], 10**9)[-1] == events[-1], "a number of another process: from the beginning"
    digits = {"Last-Event-ID": "9" * 5000}  # more than int() takes
    assert mine.get(f"/v1/jobs/{job['id']}/events", headers=digits).status_code == 200


def test_a_closed_stream_stops_nothing_and_delete_does(mine: httpx.Client) -> None:
    job = create(mine, steps=1000)
    with mine.stream("GET", f"/v1/jobs/{job['id']}/events") as answer:
        next(answer.iter_lines())
    time.sleep(0.6)
    assert mine.get(f"/v1/jobs/{job['id']}").json()["status"] in ("queued", "running")
    waiting = create(mine, steps=1000)
    for stopped in (waiting, job):
        mine.delete(f"/v1/jobs/{stopped['id']}")
        assert read(mine, stopped["id"])[-1][1] == "cancelled"
        state = mine.get(f"/v1/jobs/{stopped['id']}").json()
        assert (state["status"], state["position"], state["loading"]) == ("cancelled", None, None)


def test_the_same_key_is_the_same_job(mine: httpx.Client, other: httpx.Client) -> None:
    key = {"Idempotency-Key": "once"}
    first = create(mine, key, seed=1)
    assert create(mine, key, seed=1)["id"] == first["id"]
    assert create(other, key, seed=1)["id"] != first["id"]
    assert mine.post("/v1/jobs", json={"prompt": "b"}, headers=key).status_code == 409


def test_nobody_else_reads_cancels_or_lists_it(mine: httpx.Client, other: httpx.Client, served: Served) -> None:
    job = create(mine, steps=1000)
    path = f"/v1/jobs/{job['id']}"
    assert (
        other.get(path).status_code == other.get(f"{path}/events").status_code == other.delete(path).status_code == 404
    )
    assert job["id"] not in [j["id"] for j in other.get("/v1/jobs").json()]
    assert job["id"] in [j["id"] for j in mine.get("/v1/jobs").json()]
    assert httpx.get(f"{served.url}{path}").status_code == 401
    mine.delete(path)


def test_from_a_picture(mine: httpx.Client) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (40, 40), "red").save(buffer, format="PNG")
    text = base64.b64encode(buffer.getvalue()).decode()
    job = create(mine, init_image=text, strength=0.5, steps=4)
    assert read(mine, job["id"])[-1][1] == "done"
    refused = mine.post("/v1/jobs", json={"prompt": "a", "init_image": "no picture!"})
    assert refused.status_code == 400 and refused.json()["error"]["param"] == "init_image"
    for nothing in ({}, {"init_image": ""}):
        assert mine.post("/v1/jobs", json={"prompt": "a", "mask": text, **nothing}).status_code == 400
    assert mine.post("/v1/jobs", json={"prompt": "a", "other": 1}).json()["error"]["param"] == "other"


@pytest.mark.parametrize(
    "body", ['{"prompt": "a", "eta": NaN}', '{"prompt": "a", "seed": 1e400}', '{"prompt": "\\ud800"}']
)
def test_what_json_cannot_say_is_refused(mine: httpx.Client, body: str) -> None:
    for path in ("/v1/jobs", "/v1/images/generations", "/sdapi/v1/txt2img"):
        answer = mine.post(path, content=body, headers=JSON)
        assert answer.status_code == 400, answer.text


def test_a_user_s_name_can_be_written_down(mine: httpx.Client) -> None:
    for user in ('"\\ud800"', f'"{"u" * 257}"'):
        answer = mine.post("/v1/jobs", content=f'{{"prompt": "a", "user": {user}}}', headers=JSON)
        assert answer.status_code == 400 and answer.json()["error"]["param"] == "user"


def test_metrics_and_capabilities(mine: httpx.Client, served: Served) -> None:
    create(mine)
    assert "latent_lab_tick_seconds_bucket" in mine.get("/metrics").text
    assert served.get("/metrics")[0] == 401 and served.get("/healthz")[0] == 200
    assert mine.get("/v1/capabilities").json()["image_size"] == 32
