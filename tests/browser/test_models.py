"""Two models on one server: over HTTP by name, on the page by choice; a picture's file says which made it."""

from __future__ import annotations

import base64
import io
import json
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from PIL import Image
from playwright.sync_api import BrowserContext, Page, expect

from ldm_core.checkpoint import load_model
from ldm_core.shipped import EMOJI_128
from ldm_core.text.knowledge import SUFFIX
from tests.app.serving import Served, serve
from tests.browser.conftest import opened
from tests.browser.driving import choose, unfold
from tests.browser.test_page import ask, download, wait_for_picture
from tests.tiny import tiny_checkpoint

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """tiny, and other in the folder of models."""
    folder = tmp_path_factory.mktemp("two")
    (folder / "models").mkdir()
    tiny_checkpoint(folder / "models", seed=1, name="other.safetensors")
    shutil.copyfile(Path(EMOJI_128).with_suffix(SUFFIX), folder / "models" / f"other{SUFFIX}")  # so that it has chips
    options = ("--weights", str(tiny_checkpoint(folder)), "--models", str(folder / "models"), "--runtime", "torch")
    with serve(folder, *options) as server:
        server.wait("/readyz")
        server.wait_for_page()
        yield server


@pytest.fixture(scope="module")
def hashes(two: Served) -> dict[str, str]:
    folder = two.log.parent
    files = {"tiny": folder / "tiny.safetensors", "other": folder / "models" / "other.safetensors"}
    return {name: load_model(path).sha256 for name, path in files.items()}


def made_by(png: bytes) -> str:
    text = Image.open(io.BytesIO(png)).text["latent-lab"]  # type: ignore[attr-defined]
    return str(json.loads(text)["weights_sha256"])


def test_requests_name_their_model(two: Served, hashes: dict[str, str]):
    listed = {model["id"] for model in httpx.get(f"{two.url}/v1/models").json()["data"]}
    assert {"tiny", "other"} <= listed
    pictures = {}
    for name in ("tiny", "other", "tiny"):  # there and back: one leaves nothing of itself behind
        body = {"model": name, "prompt": "a red apple", "num_inference_steps": 2, "seed": 5}
        answer = httpx.post(f"{two.url}/v1/images/generations", json=body, timeout=120).json()
        png = base64.b64decode(answer["data"][0]["b64_json"])
        assert made_by(png) == hashes[name]
        pixels = Image.open(io.BytesIO(png)).tobytes()
        assert pictures.setdefault(name, pixels) == pixels
    assert pictures["tiny"] != pictures["other"]


def test_the_page_offers_both_and_makes_the_chosen_one_s_picture(
    two: Served, hashes: dict[str, str], profile: BrowserContext, tmp_path: Path
):
    with opened(profile, two) as page:
        pick(page, "other", tmp_path, hashes["other"])
        pick(page, "tiny", tmp_path, hashes["tiny"])


def test_a_model_that_was_chosen_is_the_page_s_after_a_reload(two: Served, profile: BrowserContext):
    """With what it knows, and with the settings that were typed."""
    with opened(profile, two) as page:
        expect(page.locator("#chips")).not_to_be_visible()
        choose(page, "model", "other")
        expect(page.locator("#chips .chips")).to_be_visible()
        unfold(page)
        page.fill("#guidance-scale input >> nth=0", "3.5")
        page.press("#guidance-scale input >> nth=0", "Tab")
        page.wait_for_function("JSON.parse(sessionStorage.getItem('latent-lab-form')).guidance_scale === 3.5")
        page.reload()
        expect(page.locator("#model input")).to_have_value("other")
        expect(page.locator("#chips .chips")).to_be_visible()
        unfold(page)
        expect(page.locator("#guidance-scale input[type=number]")).to_have_value("3.5")


def test_a_link_and_undo_carry_the_model(two: Served, profile: BrowserContext):
    with opened(profile, two) as page:
        choose(page, "model", "other")
        ask(page, "a red apple", 2)
        page.click("#generate")
        wait_for_picture(page)
        page.evaluate("navigator.clipboard.writeText = async (text) => { window.copied = text; }")
        page.click("#share")
        choose(page, "model", "tiny")
        page.evaluate("location.hash = new URL(window.copied).hash")
        expect(page.locator("#model input")).to_have_value("other")
        page.click("#undo")
        expect(page.locator("#model input")).to_have_value("tiny")


def test_a_sketch_is_the_chosen_model_s(two: Served):
    """Which must be in memory: it is not loaded for a sketch that the next word gives up."""
    body = {"page": "p", "model": "other", "settings": {"prompt": "a tree", "seed": 3}}
    request = {"model": "other", "prompt": "a tree", "num_inference_steps": 2}
    httpx.post(f"{two.url}/v1/images/generations", json=request, timeout=120)
    sketches = {}
    for model in ("other", "tiny"):
        answer = httpx.post(f"{two.url}/live", json=body | {"model": model}, timeout=120)
        if answer.status_code == 503:
            pytest.skip(f"this machine is too slow for Live just now: {answer.text}")
        sketches[model] = Image.open(io.BytesIO(answer.content)).tobytes()
    assert sketches["other"] != sketches["tiny"]


def pick(page: Page, name: str, folder: Path, sha256: str) -> None:
    expect(page.locator("#model")).to_be_visible()
    choose(page, "model", name)
    ask(page, "a red apple", 2)
    page.click("#generate")
    wait_for_picture(page)
    assert made_by(download(page, folder / f"{name}.png").read_bytes()) == sha256
    if not page.locator("#many-lines").is_visible():
        page.click("#many > button")
    page.fill("#many-lines textarea", "a tree")
    sheet = page.locator("#many-sheet img")
    before = (sheet.get_attribute("src") if sheet.count() else None) or ""
    page.click("#many-start")
    expect(sheet).to_be_visible()
    expect(sheet).not_to_have_attribute("src", before)
    expect(page.locator("#many-start")).to_be_enabled()
    with page.expect_download() as caught:
        page.click("#many-zip")
    with zipfile.ZipFile(caught.value.path()) as archive:
        assert [made_by(archive.read(entry)) for entry in archive.namelist() if entry.endswith(".png")] == [sha256]
