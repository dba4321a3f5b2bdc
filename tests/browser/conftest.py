"""One real program and one real browser for all browser tests; every page's console is held to a list."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator

import pytest

from ldm_core import load
from ldm_core.data.sources import SourceError
from ldm_core.pipeline import Pipeline
from ldm_core.shipped import EMOJI_128
from tests.app.serving import Served, serve
from tests.browser import axe
from tests.browser.driving import empty_form
from tests.tiny import tiny_checkpoint

pytest.importorskip("playwright")
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

FLAGS = [
    f"--{flag}"
    for flag in (
        "headless",
        "no-sandbox",
        "disable-gpu",
        "disable-quic",
        "no-first-run",
        "disable-background-networking",
        "disable-component-update",
        "disable-sync",
    )
]
TIMEOUT = 120_000  # milliseconds: two busy cores

ALLOWED_CONSOLE: dict[str, str] = {
    # what a message holds: why it may be there
    "GPU stall due to ReadPixels": "Chromium about the canvas of the image editor, without a GPU",
    "GroupMarkerNotSet": "the same",
    "Automatic fallback to software WebGL": "the same",
    "AbortError: signal is aborted": "Gradio's client, when a page is left while it listens",
    "Connection errored out": "the same",
    "Failed to load resource: net::ERR_FAILED": "the test that cuts the connection",
    "net::ERR_INTERNET_DISCONNECTED": "the tests without a network",
    "a status of 429 (Too Many Requests)": "the tests that refuse an upload and an event",
    "a status of 502 (Bad Gateway)": "the same",
    "a status of 503 (Service Unavailable)": "Live, where the server says that it is too busy for it",
}


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The page on a tiny model with random weights and the shipped model's curves beside them, ready."""
    folder = tmp_path_factory.mktemp("browser")
    weights = tiny_checkpoint(folder)
    shutil.copytree(EMOJI_128.parent / "metrics", folder / "metrics", copy_function=shutil.copyfile)
    for path in (folder / "metrics").iterdir():
        os.utime(path, (0, 0))  # a file of today would be a run that is still going
    # fp32: in bf16 a picture depends on who shares its calls (a page that was closed leaves a job for a minute)
    options = ("--weights", str(weights), "--data-dir", str(folder / "data"), "--dtype", "float32")
    with serve(folder, *options, env={"LATENT_LAB_RUNS": str(folder / "runs")}) as server:
        server.wait("/readyz")
        server.wait_for_page()
        yield server


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    """A browser for the tests of a file: while it is there, Playwright's loop is, beside which no other can run."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def profile(browser: Browser) -> Iterator[BrowserContext]:
    """One browser profile of a file: what the page is made of is fetched and compiled once."""
    context = browser.new_context(viewport={"width": 1280, "height": 1000}, accept_downloads=True)
    context.set_default_timeout(TIMEOUT)
    expect.set_options(timeout=TIMEOUT)
    yield context
    context.close()


@contextlib.contextmanager
def opened(profile: BrowserContext, served: Served, before: Callable[[Page], object] | None = None) -> Iterator[Page]:
    """An opened page whose model is ready and that remembers nothing. Fails on unlisted console errors.

    `before` gets it while it is blank, to answer its requests.
    """
    others = profile.pages
    page = profile.new_page()
    said: list[str] = []
    asked: list[str] = []
    page.on("console", lambda m: said.append(f"{m.text} {m.location['url']}") if m.type == "error" else None)
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"{served.url}/healthz")  # the same origin, but nothing that reads the memory while it is emptied
    page.evaluate("localStorage.clear()")
    if before is not None:
        before(page)
    page.goto(served.url)
    page.wait_for_selector("#generate:enabled")
    yield page
    for left in profile.pages:
        if left not in others:
            left.close()
    unknown = [text for text in said if not any(known in text for known in ALLOWED_CONSOLE)]
    assert not unknown, f"{served.log.read_text()[-10_000:]}\n{unknown}"
    local = (served.url, "data:", "blob:")
    assert not [url for url in asked if not url.startswith(local)], "the page asks other hosts"


@pytest.fixture
def page(profile: BrowserContext, served: Served) -> Iterator[Page]:
    """A page of this test's own."""
    with opened(profile, served) as page:
        yield page


@pytest.fixture(scope="module")
def labs(profile: BrowserContext, served: Served) -> Iterator[Page]:
    """A page that the tests of a file use one after the other; each stays in its own tab."""
    with opened(profile, served) as page:
        yield page


@pytest.fixture
def form(labs: Page) -> Page:
    """The file's page with an empty form; not for a test that reloads it, closes it or changes what it asks."""
    empty_form(labs)
    return labs


@pytest.fixture(scope="session")
def pipe(served: Served) -> Pipeline:
    """The served weights, asked directly."""
    return load(served.log.parent / "tiny.safetensors", dtype="float32")


@pytest.fixture(scope="session")
def rules() -> str:
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("npm_config_fetch_retries", "0")
            patch.setenv("npm_config_fetch_timeout", "20000")
            return axe.script()
    except SourceError as error:
        pytest.skip(f"no axe-core: {error}")
