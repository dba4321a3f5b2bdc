"""Host names, origins and forwarded headers, as a server behind the whole stack sees them."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from app.security import security_stack
from app.settings import Settings


async def echo(request: Request) -> JSONResponse:
    seen = {"url": str(request.url), "client": request.client.host if request.client else "", **request.headers}
    return JSONResponse(seen, headers={"Access-Control-Allow-Origin": "*", "Access-Control-Allow-Credentials": "true"})


def client(peer: str = "198.51.100.7", **settings: Any) -> TestClient:
    app = Starlette(routes=[Route(path, echo, methods=["GET", "POST"]) for path in ("/x", "/healthz", "/readyz")])
    return TestClient(security_stack(app, Settings(**settings)), "http://127.0.0.1:7860", client=(peer, 1))


@pytest.mark.parametrize(
    "host", ["127.0.0.1:7860", "192.168.0.9", "[::1]:7860", "localhost", "LOCALHOST:1", "localhost."]
)
def test_addresses_and_localhost_are_answered(host: str):
    assert client().get("/x", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "lab.example.org.evil.example", "localhost.evil.example", "127.0.0.1.x", "[", ""]
)
def test_other_names_are_refused_with_the_option(host: str):
    answer = client(allowed_hosts=("lab.example.org",)).get("/x", headers={"Host": host})
    assert answer.status_code == 421 and "--allowed-hosts" in answer.json()["detail"]


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_probes_come_by_any_name_or_none(path: str):
    for host in ("10-0-0-7.pod.cluster.local", ""):
        assert client().get(path, headers={"Host": host}).status_code == 200
    bare = client()
    request = bare.build_request("GET", path)
    del request.headers["host"]
    assert bare.send(request).status_code == 200
    assert client().post(path, headers={"Host": "x", "Origin": "https://evil.example"}).status_code == 403


def test_a_name_that_was_allowed_is_answered():
    assert (
        client(allowed_hosts=("Lab.example.org",)).get("/x", headers={"Host": "lab.example.ORG:80"}).status_code == 200
    )
    assert client(host="lab.local").get("/x", headers={"Host": "lab.local:7860"}).status_code == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),  # curl, gradio_client
        ({"Origin": "http://127.0.0.1:7860"}, 200),
        ({"Origin": "https://lab.example.org"}, 200),  # TLS ends at a proxy
        ({"Origin": "http://127.0.0.1:8000"}, 403),  # another program on this machine
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "https://lab.example.org.evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://["}, 403),
        ({"Origin": "http://[", "Sec-Fetch-Site": "same-origin"}, 403),
        ({"Origin": "http://127.0.0.1:7860", "Sec-Fetch-Site": "cross-site"}, 403),
        ({"Origin": "https://proxy.example", "Sec-Fetch-Site": "same-origin"}, 200),  # a proxy that changes Host
    ],
)
def test_only_our_own_page_may_ask_for_something(headers: dict[str, str], status: int):
    assert client(allowed_hosts=("lab.example.org",)).post("/x", headers=headers).status_code == status


def test_our_page_is_at_its_own_address_whatever_a_proxy_made_of_host():
    headers = {"Origin": "https://proxy.example", "Sec-Fetch-Site": "same-origin"}
    seen = client().post("/x", headers=headers).json()
    assert seen["host"] == "proxy.example" and "origin" not in seen


def test_no_origin_is_given_anything():
    """Not even where a route says so itself, and not in the answer to a preflight."""
    for headers in ({}, {"Origin": "https://evil.example"}):
        answer = client().get("/x", headers=headers)
        assert answer.status_code == 200
        assert not [name for name in answer.headers if name.startswith("access-control-")]
    asks = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    answer = client().options("/x", headers=asks)
    assert answer.status_code == 403
    assert not [name for name in answer.headers if name.startswith("access-control-")]


FORWARDED = {"X-Forwarded-Host": "lab.example.org", "X-Forwarded-Proto": "https", "X-Forwarded-For": "203.0.113.5"}


def test_a_stranger_forwards_nothing():
    seen = (
        client(allowed_hosts=("lab.example.org",))
        .get("/x", headers={**FORWARDED, "X-Gradio-Server": "http://e"})
        .json()
    )
    assert seen["url"] == "http://127.0.0.1:7860/x" and seen["client"] == "198.51.100.7"
    assert not [name for name in seen if name.startswith("x-")]


def test_a_trusted_proxy_is_believed():
    known = {"allowed_hosts": ("lab.example.org",), "trusted_proxies": ("10.0.0.0/8",)}
    seen = client("10.1.2.3", **known).get("/x", headers=FORWARDED).json()
    assert seen["url"] == "https://lab.example.org/x" and seen["client"] == "203.0.113.5"
    chain = {**FORWARDED, "X-Forwarded-For": "1.1.1.1, 203.0.113.5, 10.9.9.9"}  # the first is the visitor's own claim
    assert client("10.1.2.3", **known).get("/x", headers=chain).json()["client"] == "203.0.113.5"
    evil = {**FORWARDED, "X-Forwarded-Host": "evil.example"}
    assert client("10.1.2.3", **known).get("/x", headers=evil).status_code == 421


@pytest.mark.parametrize(
    ("hops", "address"),
    [
        ("1.2.3.4:53211", "1.2.3.4"),
        ("[2001:db8::1]:53211", "2001:db8::1"),
        ("[2001:DB8::1]", "2001:db8::1"),
        ("2001:db8::1", "2001:db8::1"),
        ("1.2.3.4:53211, 10.9.9.9:80", "1.2.3.4"),
        ("1.2.3.4, unknown", "10.1.2.3"),
        ("1.2.3.4, ::1]:1", "10.1.2.3"),
        ("unknown", "10.1.2.3"),
        ("unknown, 10.9.9.9", "10.1.2.3"),
    ],
)
def test_a_forwarded_address_is_the_same_whatever_its_port(hops: str, address: str):
    headers = {"X-Forwarded-For": hops}
    assert client("10.1.2.3", trusted_proxies=("10.0.0.0/8",)).get("/x", headers=headers).json()["client"] == address


def test_answers_carry_the_policy_refusals_too():
    for host in ("127.0.0.1", "evil.example"):
        headers = client().get("/x", headers={"Host": host}).headers
        assert "frame-ancestors 'self'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff" and headers["referrer-policy"] == "same-origin"
    assert "sandbox" in client().get("/gradio_api/file=/x.svg").headers["content-security-policy"]
