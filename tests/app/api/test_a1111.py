"""A1111's API on the whole app with a fake model; tests/clients has a real one."""

from __future__ import annotations

import base64
import io
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from PIL import Image

from ldm_core.sampling import SamplingParams

SMALL = {"prompt": "a", "steps": 2, "width": 64, "height": 64}


def as_text(image: Image.Image) -> str:
    buffer = io.BytesIO()
    image.save(buffer, format="PNG")
    return base64.b64encode(buffer.getvalue()).decode()


@pytest.mark.parametrize("inverted", [0, 1])
def test_a_mask_with_transparency_is_read_before_it_is_inverted(
    app: FastAPI, monkeypatch: pytest.MonkeyPatch, inverted: int
) -> None:
    service, masks = app.state.service, list[Any]()
    submit = service.submit

    def noted(request: SamplingParams, image: Any, mask: Any, **about: Any) -> Any:
        masks.append(mask)
        return submit(request, image, mask, **about)

    monkeypatch.setattr(service, "submit", noted)
    mask = Image.new("RGBA", (64, 64), (255, 255, 255, 0))
    mask.paste((0, 0, 0, 255), (0, 0, 32, 64))
    body = {**SMALL, "init_images": [as_text(Image.new("RGB", (64, 64)))], "mask": as_text(mask)}
    answer = TestClient(app).post("/sdapi/v1/img2img", json={**body, "inpainting_mask_invert": inverted})
    assert answer.status_code == 200, answer.text
    assert [bool(half.all()) for half in (masks[0][:, :32], masks[0][:, 32:])] == [not inverted, bool(inverted)]
