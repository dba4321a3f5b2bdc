"""--page-password closes the page and nothing of the API."""

from __future__ import annotations

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from app.security import security_stack
from app.security.clients import Clients
from app.security.page_password import GUESSES
from app.settings import Settings

PASSWORD = "ein geheimes Wörtchen"
PAGE = ("/", "/config", "/gradio_api/info", "/gradio_api/file=/x.png", "/assets/x.js", "/v1", "/metrics/", "/healthz/x")
API = ("/v1/models", "/sdapi/v1/options", "/metrics", "/healthz", "/readyz", "/openapi.json")


async def reached(_request: Request) -> PlainTextResponse:
    return PlainTextResponse("")


def client(password: str = PASSWORD, address: str = "198.51.100.1") -> TestClient:
    stack = security_stack(Starlette(routes=[Route("/{path:path}", reached)]), Settings(page_password=password))
    return TestClient(stack, "http://127.0.0.1", client=(address, 1))


@pytest.mark.parametrize("path", PAGE)
def test_the_page_asks_for_it(path: str):
    refused = client().get(path)
    assert refused.status_code == 401 and refused.headers["WWW-Authenticate"].startswith("Basic realm=")
    assert PASSWORD not in refused.text
    assert client().get(path, auth=("anybody", PASSWORD)).status_code == 200
    assert client().get(path, auth=("anybody", PASSWORD + "x")).status_code == 401
    assert client("").get(path).status_code == 200


@pytest.mark.parametrize("path", API)
def test_the_api_has_its_keys(path: str):
    assert client().get(path).status_code == 200


def test_guessing_is_slow_and_others_are_not_held_up():
    stack = security_stack(Starlette(routes=[Route("/", reached)]), Settings(page_password=PASSWORD))
    guessing, other = (TestClient(stack, "http://127.0.0.1", client=(f"198.51.100.{k}", 1)) for k in (1, 2))
    codes = [guessing.get("/", auth=("", f"guess {k}")).status_code for k in range(GUESSES + 1)]
    assert codes == [401] * GUESSES + [429]
    assert guessing.get("/", auth=("", PASSWORD)).headers["Retry-After"] in ("1", "2", "3"), "what is left of them"
    assert [other.get("/").status_code for _ in range(GUESSES + 1)] == [401] * (GUESSES + 1), "asking is no guess"
    assert other.get("/", auth=("", PASSWORD)).status_code == 200


def test_it_is_no_api_key():
    with pytest.raises(ValueError, match="must not be an API key"):
        Clients(Settings(page_password="one", api_keys="one,two"))
