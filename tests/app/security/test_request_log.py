"""Ids and lines of requests, on the whole stack."""

from __future__ import annotations

import logging

import pytest
from starlette.requests import ClientDisconnect
from starlette.responses import PlainTextResponse
from starlette.testclient import TestClient
from starlette.types import Receive, Scope, Send

from app.logs import request_id
from app.security import security_stack
from app.settings import Settings

SECRET = "s3cret"


async def page(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["path"] == "/v1/fail":
        raise KeyError(f"/srv/{SECRET}")
    if scope["path"] == "/v1/left":
        raise ClientDisconnect
    await PlainTextResponse(request_id.get())(scope, receive, send)


@pytest.fixture
def client() -> TestClient:
    return TestClient(security_stack(page, Settings()), "http://127.0.0.1")


def told(caplog: pytest.LogCaptureFixture) -> list[dict[str, object]]:
    return [record.about for record in caplog.records if hasattr(record, "about")]


def test_every_answer_has_its_own_id(client: TestClient):
    answers = [client.get("/v1/models"), client.get("/"), client.get("/", headers={"Host": "evil.example"})]
    ids = [answer.headers["X-Request-ID"] for answer in answers]
    assert len(set(ids)) == 3 and ids[:2] == [answer.text for answer in answers[:2]]


def test_calls_of_the_api_are_told_without_what_is_secret(client: TestClient, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.INFO)
    client.get(f"/v1/files/a%1Bb.png?signature={SECRET}", headers={"Authorization": f"Bearer {SECRET}"})
    for path in ("/healthz", "/metrics", "/", "/gradio_api/file=/srv/me/x.png"):
        client.get(path)
    [about], said = told(caplog), str([vars(r) for r in caplog.records if r.name.startswith("app")])
    assert (about["method"], about["path"], about["status"]) == ("GET", "/v1/files/*", 200)
    assert SECRET not in said


def test_an_error_nobody_handled_is_a_sentence_and_a_traceback_in_the_log(
    client: TestClient, caplog: pytest.LogCaptureFixture
):
    answer = client.get("/v1/fail")
    error = answer.json()["error"]
    assert answer.status_code == 500 and answer.headers["X-Content-Type-Options"] == "nosniff"
    assert error["code"] == "internal" and answer.headers["X-Request-ID"] in error["message"]
    assert SECRET not in answer.text and SECRET in caplog.text, "what is inside is the operator's to know"


def test_a_client_that_left_is_no_error(client: TestClient, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.INFO)
    with pytest.raises(AssertionError):  # the test client insists on an answer
        client.get("/v1/left")
    assert told(caplog)[0]["status"] == 499 and "Traceback" not in caplog.text
