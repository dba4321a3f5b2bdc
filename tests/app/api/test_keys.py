"""Keys of the API on the whole app: who has none is refused by the headers alone."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI

from app.server import build
from app.settings import Settings


@pytest.fixture
def locked(tmp_path: Path) -> Iterator[FastAPI]:
    app = build(Settings(data_dir=tmp_path, api_keys="one"))
    yield app
    app.state.latent_lab.service.close()


def post(app: FastAPI, path: str, key: bytes, kind: bytes) -> tuple[int, dict[bytes, bytes], Any, int]:
    """Status, headers and body of the answer to a body of 54 MB, and how often the app has asked for that body."""
    asked, sent = 0, list[Any]()

    async def receive() -> dict[str, Any]:
        nonlocal asked
        asked += 1
        if asked > 1:  # the connection stays
            await asyncio.Future()
        return {"type": "http.request", "body": b"{}", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    said = {b"host": b"127.0.0.1", b"authorization": b"Bearer " + key, b"content-type": kind}
    headers = [*said.items(), (b"content-length", b"54000000")]
    scope = {"type": "http", "method": "POST", "path": path, "query_string": b"", "headers": headers, "scheme": "http"}
    asyncio.run(app({**scope, "client": ("198.51.100.7", 1), "server": ("127.0.0.1", 80)}, receive, send))
    return sent[0]["status"], dict(sent[0]["headers"]), json.loads(sent[1]["body"]), asked


@pytest.mark.parametrize("kind", [b"application/json", b"multipart/form-data; boundary=b"])
def test_a_body_without_a_key_is_not_read(locked: FastAPI, kind: bytes) -> None:
    status, headers, body, asked = post(locked, "/v1/images/edits", b"two", kind)
    assert (status, asked, headers[b"www-authenticate"]) == (401, 0, b"Bearer")
    assert body["error"]["code"] == "unauthorized" and "needs a key" in body["error"]["message"]
    status, headers, body, asked = post(locked, "/sdapi/v1/img2img", b"two", kind)
    assert (status, asked, headers[b"www-authenticate"]) == (401, 0, b"Basic")
    assert body["error"] == "unauthorized" and "needs a key" in body["detail"]
    *_, asked = post(locked, "/v1/images/edits", b"one", kind)
    assert asked > 0
