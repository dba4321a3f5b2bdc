"""How often one may ask, on the whole stack."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from app.security import rates as rates_module
from app.security import security_stack
from app.security.clients import COOKIE, Clients
from app.security.rates import KEPT, Buckets
from app.settings import Settings


async def page(_request: Request) -> PlainTextResponse:
    return PlainTextResponse("")


def asking(**options: Any) -> Any:
    """Address → a client of the stack."""
    settings = Settings(**options)
    inner = Starlette(routes=[Route("/{path:path}", page, methods=["GET", "POST"])])
    stack = security_stack(inner, settings, account=Clients(settings).account)
    return lambda address: TestClient(stack, "http://127.0.0.1", client=(address, 1))


def test_who_asks_too_often_is_told_when_to_come_back():
    client = asking(requests_per_minute=3)("198.51.100.1")
    codes = [client.get("/v1/models").status_code for _ in range(4)]
    assert codes == [200] * 3 + [429]
    refused = client.post("/v1/jobs", json={})
    assert refused.json()["error"]["code"] == "too_many_requests" and 10 <= int(refused.headers["Retry-After"]) <= 20
    assert client.post("/gradio_api/queue/join", json={}).status_code == 429
    assert "errors" in client.get("/sdapi/v1/options").json()
    for free in ("/healthz", "/readyz", "/", "/assets/x.js"):
        assert client.get(free).status_code == 200


def test_an_invented_cookie_or_token_is_nobody_new_and_a_key_is():
    at = asking(requests_per_minute=1, api_keys="one,two")
    first = at("198.51.100.1")
    assert first.get("/v1/x").status_code == 200
    for invented in ({"Cookie": f"{COOKIE}={'a' * 32}"}, {"Authorization": "Bearer invented"}):
        assert first.get("/v1/x", headers=invented).status_code == 429
    assert at("198.51.100.2").get("/v1/x").status_code == 200
    key = {"Authorization": "Bearer one"}
    assert [at(f"198.51.100.{k}").get("/v1/x", headers=key).status_code for k in (1, 2)] == [200, 429]
    assert first.get("/v1/x", headers={"Authorization": "Bearer two"}).status_code == 200


def test_a_bucket_fills_steadily(monkeypatch: pytest.MonkeyPatch):
    now = 1000.0
    monkeypatch.setattr(rates_module.time, "monotonic", lambda: now)
    bucket = Buckets(60)
    assert [bucket.take("me") for _ in range(60)] == [0.0] * 60
    assert bucket.take("me") == pytest.approx(1.0) and bucket.take("other") == 0
    now += 0.5
    assert bucket.take("me") == pytest.approx(0.5)
    now += 0.5
    assert bucket.take("me") == 0 and bucket.take("me") > 0
    now += 10_000
    assert [bucket.take("me") for _ in range(61)].count(0.0) == 60, "no more than a minute's worth is saved up"


def test_what_is_remembered_of_accounts_is_bounded():
    bucket = Buckets(1)
    for k in range(KEPT + 5):
        bucket.take(str(k))
    assert len(bucket._left) == KEPT
