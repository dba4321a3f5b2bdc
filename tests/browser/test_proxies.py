"""The page behind proxies that change Host and do, or do not, strip their prefix: it asks relative to itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Browser, expect

from app.metadata import read_png
from tests.app.reverse_proxy import proxied
from tests.app.serving import Served, serve
from tests.browser.conftest import ALLOWED_CONSOLE, TIMEOUT
from tests.browser.driving import unfold
from tests.tiny import tiny_checkpoint

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def prefixed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("prefixed")
    with serve(folder, "--weights", str(tiny_checkpoint(folder)), "--root-path", "lab") as server:
        server.wait("/readyz")
        server.wait_for_page()
        yield server


AT_ROOT = ("/manifest.json", "/favicon.ico")  # a browser asks for these at the root of a host; nothing hangs on them
ARRANGEMENTS = {
    # name: (the server knows the prefix, the proxy's prefix, the proxy strips it)
    "another host": (False, "", True),
    "stripped, unknown to the server": (False, "/lab", True),
    "stripped": (True, "/lab", True),
    "not stripped": (True, "/lab", False),
}


@pytest.mark.parametrize("name", ARRANGEMENTS)
def test_a_picture_is_made_kept_and_used(browser: Browser, served: Served, prefixed: Served, tmp_path: Path, name: str):
    knows, prefix, strip = ARRANGEMENTS[name]
    said: list[str] = []
    asked: list[str] = []
    with proxied((prefixed if knows else served).url, prefix, strip=strip) as url:
        context = browser.new_context(accept_downloads=True)
        context.set_default_timeout(TIMEOUT)
        expect.set_options(timeout=TIMEOUT)
        page = context.new_page()
        page.on("console", lambda m: said.append(f"{m.text} {m.location['url']}") if m.type == "error" else None)
        page.on("request", lambda request: asked.append(request.url))
        page.goto(f"{url}?lang=en")
        page.wait_for_selector("#generate:enabled")
        page.fill("#prompt textarea", "a red apple")
        unfold(page)
        page.fill("#steps input[type=number]", "2")
        page.press("#steps input[type=number]", "Tab")
        page.click("#generate")
        expect(page.locator(".line.done")).to_contain_text("Done in")
        page.wait_for_function("document.querySelector('#history img')?.naturalWidth > 0")
        with page.expect_download() as caught:
            page.click("#download")
        caught.value.save_as(tmp_path / "made.png")
        assert read_png(tmp_path / "made.png")[0].prompt == "a red apple"
        Image.new("RGB", (32, 32), "red").save(tmp_path / "bare.png")
        page.click("#restore > button")
        page.set_input_files("#png input[type=file]", tmp_path / "bare.png")
        expect(page.locator("#line")).to_contain_text("no Latent Lab settings")
        context.close()
    assert not [text for text in said if not any(known in text for known in (*ALLOWED_CONSOLE, *AT_ROOT))]
    elsewhere = [one for one in asked if not one.startswith((url, "data:", "blob:"))]
    assert not [one for one in elsewhere if not one.endswith(AT_ROOT)]
