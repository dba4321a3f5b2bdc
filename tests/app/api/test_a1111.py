"""A1111's API on the whole app with a fake model; tests/clients has a real one."""

from __future__ import annotations

import base64
import io
import json
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from PIL import Image

from ldm_core.metadata import read_parameters
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
    service, masks = app.state.latent_lab.service, list[Any]()
    submit = service.submit

    def noted(request: SamplingParams, image: Any, mask: Any, *about: Any) -> Any:
        masks.append(mask)
        return submit(request, image, mask, *about)

    monkeypatch.setattr(service, "submit", noted)
    mask = Image.new("RGBA", (64, 64), (255, 255, 255, 0))
    mask.paste((0, 0, 0, 255), (0, 0, 32, 64))
    body = {**SMALL, "init_images": [as_text(Image.new("RGB", (64, 64)))], "mask": as_text(mask)}
    answer = TestClient(app).post("/sdapi/v1/img2img", json={**body, "inpainting_mask_invert": inverted})
    assert answer.status_code == 200, answer.text
    assert [bool(half.all()) for half in (masks[0][:, :32], masks[0][:, 32:])] == [not inverted, bool(inverted)]


@pytest.mark.parametrize(("mode", "whole"), [(None, True), (0, True), (1, False)])
def test_a_picture_of_other_proportions_is_stretched_or_cropped_with_its_mask(
    app: FastAPI, monkeypatch: pytest.MonkeyPatch, mode: int | None, whole: bool
) -> None:
    service, begun = app.state.latent_lab.service, list[Any]()
    submit = service.submit

    def noted(request: SamplingParams, image: Any, mask: Any, *about: Any) -> Any:
        begun.extend((image, mask))
        return submit(request, image, mask, *about)

    monkeypatch.setattr(service, "submit", noted)
    picture, mask = Image.new("RGB", (128, 64)), Image.new("L", (128, 64), 255)
    picture.paste((255, 0, 0), (0, 0, 24, 64))  # outside of the middle 64 × 64
    mask.paste(0, (0, 0, 24, 64))
    body = {**SMALL, "init_images": [as_text(picture)], "mask": as_text(mask)}
    asked = body if mode is None else {**body, "resize_mode": mode}
    answer = TestClient(app).post("/sdapi/v1/img2img", json=asked)
    assert answer.status_code == 200, answer.text
    image, mask_pixels = begun
    assert image.shape == (64, 64, 3) and mask_pixels.shape == (64, 64)
    assert bool((image[:, :8, 0] == 255).all()) is whole and bool((mask_pixels[:, :8] == 0).all()) is whole


@pytest.mark.parametrize("mode", [2, 3])
def test_modes_of_resizing_that_are_not_here_are_refused(app: FastAPI, mode: int) -> None:
    body = {**SMALL, "init_images": [as_text(Image.new("RGB", (64, 64)))], "resize_mode": mode}
    answer = TestClient(app).post("/sdapi/v1/img2img", json=body)
    assert answer.status_code == 400 and "resize_mode" in answer.json()["detail"]


def test_a_subseed_varies_the_picture_and_the_infotexts_say_so(app: FastAPI) -> None:
    client = TestClient(app)

    def told(**more: Any) -> list[dict[str, Any]]:
        answer = client.post("/sdapi/v1/txt2img", json={**SMALL, "seed": 3, "batch_size": 2, **more})
        assert answer.status_code == 200, answer.text
        return [read_parameters(text) for text in json.loads(answer.json()["info"])["infotexts"]]

    varied = told(subseed=9, subseed_strength=0.25)
    assert [(v["seed"], v["variation_seed"], v["variation_strength"]) for v in varied] == [(3, 9, 0.25), (3, 10, 0.25)]
    first, second = told(subseed_strength=0.25)  # drawn
    assert second["variation_seed"] == first["variation_seed"] + 1
    assert [v.get("variation_seed") for v in told(subseed=9)] == [None, None], "of no effect"
    assert client.post("/sdapi/v1/txt2img", json={**SMALL, "subseed_strength": 2}).status_code == 400


def test_an_infotext_says_how_far_a_picture_was_changed(app: FastAPI) -> None:
    body = {**SMALL, "init_images": [as_text(Image.new("RGB", (64, 64)))], "denoising_strength": 0.5}
    answer = TestClient(app).post("/sdapi/v1/img2img", json=body)
    assert read_parameters(json.loads(answer.json()["info"])["infotexts"][0])["strength"] == 0.5
