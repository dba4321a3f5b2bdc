"""What a real server writes and answers when things go wrong: no prompt, no key, no path."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.app.serving import Served, serve
from tests.tiny import tiny_checkpoint

KEY, PASSWORD, PROMPT = "sk-nobody-else-knows", "page-secret", "a secret wish"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("told")
    env = {"LATENT_LAB_API_KEYS": KEY, "LATENT_LAB_PAGE_PASSWORD": PASSWORD, "OMP_NUM_THREADS": "1"}
    options = ("--weights", str(tiny_checkpoint(folder)), "--device", "cpu", "--runtime", "torch")
    with serve(folder, *options, "--data-dir", str(folder / "data"), "--log-format", "json", env=env) as served:
        served.wait("/readyz")
        yield served


@pytest.fixture
def client(served: Served) -> httpx.Client:
    return httpx.Client(base_url=served.url, headers={"Authorization": f"Bearer {KEY}"}, timeout=60)


def lines(served: Served) -> list[dict[str, object]]:
    return [json.loads(line) for line in served.log.read_text().splitlines()]


def test_a_job_is_told_with_its_request_and_without_its_prompt(served: Served, client: httpx.Client):
    answer = client.post("/v1/jobs", json={"prompt": PROMPT, "steps": 2})
    job, request = answer.json()["id"], answer.headers["X-Request-ID"]
    with client.stream("GET", f"/v1/jobs/{job}/events") as events:
        list(events.iter_lines())
    accepted, ended = [line for line in lines(served) if line.get("job") == job]
    assert (accepted["message"], accepted["request"], accepted["steps"]) == ("job accepted", request, 2)
    assert (ended["message"], ended["end"], ended["request"]) == ("job ended", "done", request)
    assert [line["path"] for line in lines(served) if line.get("request") == request and "path" in line] == ["/v1/jobs"]


def test_no_secret_and_no_path_in_log_or_answer(served: Served, client: httpx.Client):
    rubbish = {"image": "AAAA", "init_image": "AAAA", "prompt": PROMPT, "init_images": ["AAAA"], "sampler": "/etc"}
    said = []
    for path in ("/v1/jobs", "/v1/images/generations", "/sdapi/v1/txt2img", "/sdapi/v1/img2img", "/sdapi/v1/png-info"):
        said += [client.post(path, json=rubbish).text, client.post(path, content=b"{").text]
        said.append(httpx.post(served.url + path, json=rubbish, headers={"Authorization": "Bearer wrong-one"}).text)
    edit = {"files": {"image": ("../../etc/x.png", b"no picture")}, "data": {"prompt": PROMPT}}
    said.append(client.post("/v1/images/edits", **edit).text)
    said += [client.get(path).text for path in ("/v1/files/..%2f..%2fetc%2fpasswd", "/v1/history/%2e%2e", "/v1/jobs/x")]
    said.append(httpx.get(served.url, auth=("me", "wrong-page-one")).text)
    assert httpx.get(served.url, auth=("me", PASSWORD)).status_code == 200
    folder, log = str(served.log.parent), served.log.read_text()
    for secret in (KEY, PASSWORD, "wrong-one", "wrong-page-one", PROMPT):
        assert secret not in log
    for inside in (folder, str(Path.cwd()), "site-packages", "Traceback", KEY, PASSWORD):
        assert inside not in "".join(said)
    assert "Traceback" not in log


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("PUT", "/v1/jobs", 405),
        ("GET", "/v1/images/generations", 405),
        ("POST", "/v1/jobs/x/events", 405),
        ("DELETE", "/metrics", 405),
        ("POST", "/healthz", 405),
        ("GET", "/v1/nothing", 404),
        ("GET", "/v1/", 404),
    ],
)
def test_what_is_no_route_is_refused_in_the_api_s_own_shape(client: httpx.Client, method: str, path: str, status: int):
    answer = client.request(method, path)
    assert answer.status_code == status and set(answer.json()["error"]) == {"code", "message", "param", "type"}
    assert status == 404 or answer.headers["Allow"]
    assert set(client.get("/sdapi/v1/nothing").json()) == {"error", "detail", "errors"}
