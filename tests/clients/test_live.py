"""The page's way to Live over HTTP: a PNG without a key, in one answer, and a refusal that says why."""

from __future__ import annotations

import io
import time

import httpx
import pytest
from PIL import Image

from app.live import LIMIT_SECONDS
from tests.app.serving import Served


def test_a_page_gets_its_sketch_and_no_history(served: Served):
    with httpx.Client(base_url=served.url, timeout=60) as page:
        for _ in range(60):  # the first ones may take longer than Live allows, and others' jobs go first
            answer = page.post("/live", json={"page": "a", "settings": {"prompt": "a tree", "seed": 3}})
            if answer.status_code == 200:
                break
            assert answer.json()["reason"] in ("live_slow", "live_busy")
            time.sleep(0.5)
            page.get("/live")
        else:
            pytest.skip(f"this machine is too slow for Live just now: {answer.text}")
        assert answer.headers["content-type"] == "image/png"
        assert Image.open(io.BytesIO(answer.content)).size == (32, 32)
        assert 0 <= float(answer.headers["x-seconds"]) <= 2 * LIMIT_SECONDS + 1
        refused = page.post("/live", json={"page": "a", "settings": {"prompt": "a", "seed": -4}})
        assert refused.status_code == 400


@pytest.mark.parametrize(
    "body",
    [
        r'{"page": "\ud800", "settings": {"prompt": "a"}}',
        r'{"page": "a", "settings": {"prompt": "\ud800"}}',
        r'{"page": "a", "settings": {"prompt": "a", "\ud800": 1}}',
        '{"page": "a", "settings": {"prompt": "a", "label": ' + "[" * 900 + "]" * 900 + "}}",
    ],
    ids=["page", "prompt", "name", "depth"],
)
def test_what_no_answer_can_say_is_refused(served: Served, body: str):
    answer = httpx.post(f"{served.url}/live", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400 and answer.json()["detail"]


def test_nothing_of_it_is_in_the_api(served: Served):
    assert "/live" not in httpx.get(f"{served.url}/openapi.json").json()["paths"]
