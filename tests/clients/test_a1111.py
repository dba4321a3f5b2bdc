"""webuiapi, and what Open WebUI and SillyTavern send, replayed."""

from __future__ import annotations

import base64
import io
import json
import threading
import time

import httpx
import pytest
import webuiapi
from PIL import Image

from tests.app.serving import Served
from tests.clients.conftest import KEY
from tests.test_images import with_chunk


@pytest.fixture
def api(served: Served) -> webuiapi.WebUIApi:
    api = webuiapi.WebUIApi(baseurl=f"{served.url}/sdapi/v1", sampler="Euler a", steps=2)
    api.set_auth("anybody", KEY)
    return api


@pytest.fixture
def basic(served: Served) -> httpx.Client:
    return httpx.Client(base_url=f"{served.url}/sdapi/v1", auth=("anybody", KEY), timeout=60)


def test_webuiapi_makes_and_changes_pictures(api: webuiapi.WebUIApi) -> None:
    made = api.txt2img(prompt="a red apple", seed=7, batch_size=2, n_iter=1, width=64, height=64)
    assert len(made.images) == 2 and made.image.size == (64, 64)
    assert made.info["all_seeds"] == [7, 8] and "Steps: 2" in made.info["infotexts"][0]
    assert ["Seed: 7" in text for text in made.info["infotexts"]] == [True, False]
    assert "Seed: 8" in made.info["infotexts"][1]
    changed = api.img2img(images=[made.image], prompt="a pear", denoising_strength=0.5, width=64, height=64)
    assert changed.image.size == (64, 64)
    assert "red apple" in api.png_info(made.image).info


def test_webuiapi_s_lists(api: webuiapi.WebUIApi) -> None:
    assert api.get_options()["sd_model_checkpoint"].startswith("tiny [")
    assert "Euler a" in [sampler["name"] for sampler in api.get_samplers()]
    assert [model["model_name"] for model in api.get_sd_models()] == ["tiny"]
    assert api.get_upscalers() and api.get_schedulers()
    assert api.get_progress()["state"]["job_count"] == 0
    api.interrupt()
    assert api.get_memory()["ram"]["used"] > 0


def test_open_webui(basic: httpx.Client, served: Served) -> None:
    """Its check, its list of models, its request, and how it reads the answer."""
    assert basic.get("/options").status_code == 200
    title = basic.get("/sd-models").json()[0]["title"]
    assert basic.post("/options", json={"sd_model_checkpoint": title}).status_code == 200
    answer = basic.post("/txt2img", json={"prompt": "a", "batch_size": 1, "width": 512, "height": 512, "steps": 2})
    body = answer.json()
    assert Image.open(io.BytesIO(base64.b64decode(body["images"][0]))).size == (512, 512)
    assert json.loads(body["info"])["seed"] >= 0
    refused = httpx.get(f"{served.url}/sdapi/v1/options")
    assert refused.status_code == 401 and refused.headers["www-authenticate"] == "Basic"
    assert basic.post("/options", json={"sd_model_checkpoint": "other"}).status_code == 404


def test_silly_tavern(basic: httpx.Client) -> None:
    """Its lists, then a picture while it asks for progress, then an interrupt that stops it."""
    for path in (
        "/options",
        "/samplers",
        "/schedulers",
        "/sd-models",
        "/sd-vae",
        "/sd-modules",
        "/upscalers",
        "/latent-upscale-modes",
        "/loras",
        "/embeddings",
    ):
        assert basic.get(path).status_code == 200, path
    answers: list[httpx.Response] = []
    payload = {
        "prompt": "a",
        "steps": 1000,
        "width": 512,
        "height": 512,
        "cfg_scale": 7,
        "sampler_name": "DDIM",
        "scheduler": "automatic",
        "restore_faces": False,
        "enable_hr": False,
        "save_images": True,
        "send_images": True,
        "do_not_save_grid": False,
        "do_not_save_samples": False,
        "seed": None,
    }
    call = threading.Thread(target=lambda: answers.append(basic.post("/txt2img", json=payload)))
    call.start()
    end = time.monotonic() + 30
    while basic.get("/progress").json()["state"]["job_count"] == 0 or basic.get("/progress").json()["progress"] == 0:
        assert time.monotonic() < end
        time.sleep(0.05)
    assert basic.post("/interrupt").status_code == 200
    call.join(timeout=30)
    assert answers and answers[0].status_code == 409


def test_what_other_clients_send(basic: httpx.Client) -> None:
    """A sampler's name with its schedule, as before A1111 1.9; base64 in lines; a chunk that Pillow refuses."""
    small = {"prompt": "a", "steps": 1, "width": 64, "height": 64}
    made = basic.post("/txt2img", json={**small, "sampler_name": "DPM++ 2M Karras"})
    assert made.status_code == 200 and json.loads(made.json()["info"])["sampler_name"] == "DPM++ 2M"
    png = base64.b64decode(made.json()["images"][0])
    odd = base64.encodebytes(with_chunk(png, b"acTL", b"x")).decode()
    told = basic.post("/png-info", json={"image": f"data:image/png;base64,{odd}"})
    assert told.status_code == 200 and told.json()["info"].startswith("a\nSteps: 1, Sampler: DPM++ 2M,")
    assert basic.post("/img2img", json={**small, "steps": 2, "init_images": [odd]}).status_code == 200
