"""BodyLimits and uploads up to their limits and past them, on the whole stack."""

from __future__ import annotations

import socket
import time
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from app.security import security_stack
from app.settings import Settings
from tests.app.serving import in_thread

UPLOAD = "/gradio_api/upload"


async def take(request: Request) -> JSONResponse:
    if "multipart" in request.headers.get("content-type", ""):
        async with request.form() as form:
            return JSONResponse(len(form.multi_items()))
    return JSONResponse(len(await request.body()))


def client(address: str = "198.51.100.7", **settings: Any) -> TestClient:
    routes = [Route(path, take, methods=["POST"]) for path in ("/v1/x", "/v1/edits", UPLOAD)]
    stack = security_stack(Starlette(routes=routes), Settings(**settings), {"/v1/edits": 2})
    return TestClient(stack, "http://127.0.0.1:7860", client=(address, 1))


def test_json_is_bounded_before_it_is_parsed():
    few = client(max_json_bytes=1000, max_upload_bytes=3000)
    assert few.post("/v1/x", content=b"x" * 1000).json() == 1000
    assert few.post("/v1/x", content=b"x" * 1001).status_code == 413
    assert few.post("/v1/x", content=iter([b"x" * 600, b"x" * 600])).status_code == 413  # no length said


def test_routes_with_pictures_take_their_base64():
    few = client(max_json_bytes=1000, max_upload_bytes=3000)
    assert few.post("/v1/edits", content=b"x" * 9000).json() == 9000  # 1000 + 2 × 4/3 × 3000
    assert few.post("/v1/edits", content=b"x" * 9001).status_code == 413


def test_brackets_by_the_megabyte_hold_nothing_up():
    start = time.monotonic()
    assert client().post("/gradio_api/run/predict", content=b"[" * 31_000_000).status_code == 413
    client().post("/gradio_api/run/predict", content=b"[" * 1_000_000)
    client().post("/gradio_api/run/predict", content=b"[" + b"{}," * 330_000 + b"{}]")
    assert time.monotonic() - start < 5


def test_values_by_the_million_are_refused_before_they_are_judged():
    """Twenty megabytes of [],[],… where pictures belong held /healthz up for minutes: each was refused by itself."""
    for values in (b"[],", b"{},", b"1,", b'"",', b'{"a":1},', b"["):
        for path in ("/v1/x", "/v1/edits"):
            answer = client(max_json_bytes=1_000_000).post(path, content=b'{"a":[' + values * 30_000 + b"1]}")
            assert answer.status_code == 413 and "too many values" in answer.text
        assert client().post("/v1/x", content=b'{"a":[' + values * 5_000 + b"1]}").status_code == 200
    assert client().post("/v1/edits", content=b'{"image":"' + b"A" * 25_000_000 + b'"}').status_code == 200


def files(count: int, size: int) -> list[tuple[str, tuple[str, bytes]]]:
    return [("files", (f"{k}.png", b"x" * size)) for k in range(count)]


def test_uploads_of_an_address_are_counted():
    few = client(upload_quota_files=5)
    assert few.post(UPLOAD, files=files(3, 10)).json() == 3
    answer = few.post(UPLOAD, files=files(3, 10))
    assert answer.status_code == 429 and "Too many files" in answer.text
    assert few.post(UPLOAD, files=files(1, 10)).status_code == 429


def test_five_of_nineteen_megabytes_do_not_fill_the_folder():
    few = client(upload_quota_bytes=50_000_000)
    codes = [few.post(UPLOAD, files=files(1, 19_000_000)).status_code for _ in range(5)]
    assert codes == [200, 200, 429, 429, 429]


def test_other_addresses_have_quotas_of_their_own_up_to_the_total():
    settings = Settings(upload_quota_bytes=20_000, upload_total_bytes=30_000)
    stack = security_stack(Starlette(routes=[Route(UPLOAD, take, methods=["POST"])]), settings)

    def upload(address: str) -> int:
        asking = TestClient(stack, "http://127.0.0.1", client=(address, 1))
        return asking.post(UPLOAD, files=files(1, 12_000)).status_code

    assert [upload("198.51.100.1"), upload("198.51.100.1"), upload("198.51.100.2")] == [200, 429, 200]
    assert upload("198.51.100.3") == 429  # the server is full
    settings = Settings(upload_quota_bytes=20_000)
    stack = security_stack(Starlette(routes=[Route(UPLOAD, take, methods=["POST"])]), settings)
    assert [upload("2001:db8::1"), upload("2001:db8::2"), upload("2001:db8:0:1::1")] == [200, 429, 200]  # a /64


def test_a_quota_is_free_again_when_the_files_are_gone():
    few = client(upload_quota_files=1, upload_seconds=1)
    assert [few.post(UPLOAD, files=files(1, 10)).status_code for _ in range(2)] == [200, 429]
    time.sleep(1.1)
    assert few.post(UPLOAD, files=files(1, 10)).status_code == 200


@pytest.mark.parametrize("body", [iter([b"--b\r\n"])])
def test_an_upload_says_its_length(body: Any):
    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    assert client().post(UPLOAD, content=body, headers=headers).status_code == 411
    big = {**headers, "Content-Length": "30000000"}
    assert client().post(UPLOAD, content=b"", headers=big).status_code == 413


def test_a_body_that_trickles_is_given_up():
    routes = [Route(path, take, methods=["POST"]) for path in ("/v1/x", UPLOAD)]
    multipart = "multipart/form-data; boundary=b"
    part = b'--b\r\nContent-Disposition: form-data; name="files"; filename="a"\r\n\r\n'
    bodies = ("/v1/x", "application/json", b"{"), ("/v1/x", multipart, part), (UPLOAD, multipart, part)
    with in_thread(security_stack(Starlette(routes=routes), Settings(body_seconds=1))) as port:  # not all there at once
        for path, kind, begin in bodies:
            head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 9999\r\nContent-Type: {kind}\r\n\r\n"
            with socket.create_connection(("127.0.0.1", port), timeout=20) as line:
                line.sendall(head.encode() + begin)
                start, answer = time.monotonic(), b""
                while b"too long to arrive" not in answer and (more := line.recv(4000)):
                    answer += more
            assert b" 408 " in answer.splitlines()[0] and b"too long to arrive" in answer
            assert 0.5 < time.monotonic() - start < 10
