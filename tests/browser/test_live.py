"""Live in the browser against a server that answers as slowly as the test wants: one at a time, nothing flickers."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import BrowserContext, Page, Route, expect

from tests.app.serving import Served
from tests.browser.conftest import opened
from tests.browser.driving import unfold

pytestmark = pytest.mark.browser


class Sketches:
    """Answers /live with one colour a request, and knows what it was asked."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.asked: list[dict[str, Any]] = []
        self.held: list[Route] = []
        self.hold = False
        self.off: str | None = None
        page.route("**/live", self._answer)

    def _answer(self, route: Route) -> None:
        if route.request.method == "GET":
            route.fulfill(json={"offered": True})
            return
        self.asked.append(json.loads(route.request.post_data or ""))
        if self.off is not None:
            route.fulfill(status=503, json={"reason": self.off})
        elif self.hold:
            self.held.append(route)
        else:
            buffer = io.BytesIO()
            Image.new("RGB", (32, 32), (len(self.asked) % 256, 90, 90)).save(buffer, format="PNG")
            route.fulfill(body=buffer.getvalue(), headers={"content-type": "image/png", "x-seconds": "0.12"})


@pytest.fixture
def sketches(profile: BrowserContext, served: Served) -> Iterator[Sketches]:
    made: list[Sketches] = []
    with opened(profile, served, before=lambda page: made.append(Sketches(page))) as page:
        page.wait_for_selector("body.live-offered")
        yield made[0]


@pytest.fixture
def page(sketches: Sketches) -> Page:
    """The page whose sketches these are."""
    return sketches.page


def source(page: Page) -> str | None:
    return page.locator("#live img").get_attribute("src")


def test_it_draws_at_the_end_of_a_word_and_keeps_the_last_picture(page: Page, sketches: Sketches):
    page.click("#live-switch")
    page.focus("#prompt textarea")
    page.keyboard.type("a tree ")
    expect(page.locator("#live img")).to_be_visible()
    expect(page.locator("#live-says")).to_contain_text("0.12 s")
    expect(page.locator("#stage")).not_to_be_visible()
    first = source(page)
    sketches.hold = True
    page.keyboard.type("by a house ")
    page.wait_for_timeout(800)
    assert source(page) == first, "the last good picture went before the next was there"
    prompts = [asked["settings"]["prompt"].strip() for asked in sketches.asked]
    assert prompts[-1] == "a tree by a house"
    seeds = {asked["settings"]["seed"] for asked in sketches.asked}
    assert len(seeds) == 1, "the seed was not held"
    unfold(page)
    expect(page.locator("#seed input")).to_have_value(str(seeds.pop()))
    page.click("#live-switch")
    expect(page.locator("#stage")).to_be_visible()
    expect(page.locator("#seed input")).to_have_value("")


def test_the_request_before_is_given_up(page: Page, sketches: Sketches):
    given_up = threading.Event()
    page.on("requestfailed", lambda request: given_up.set() if "/live" in request.url else None)
    sketches.hold = True
    page.click("#live-switch")
    page.fill("#prompt textarea", "one ")
    page.wait_for_timeout(600)
    assert not given_up.is_set()
    page.fill("#prompt textarea", "one two ")
    page.wait_for_timeout(900)
    assert given_up.is_set() and len(sketches.held) == 2


def test_it_goes_off_by_itself_and_generate_makes_the_full_picture(page: Page, sketches: Sketches):
    page.click("#live-switch")
    page.fill("#prompt textarea", "a tree ")
    expect(page.locator("#live img")).to_be_visible()
    held = sketches.asked[-1]["settings"]["seed"]
    unfold(page)
    page.fill("#steps input[type=number]", "2")
    page.press("#steps input[type=number]", "Tab")
    page.click("#generate")
    expect(page.locator(".line.done")).to_be_visible()
    expect(page.locator("#live")).not_to_be_visible()
    expect(page.locator("#facts")).to_contain_text(f"Seed {held} · 32×32 · Steps 2")
    sketches.off = "live_busy"
    page.fill("#prompt textarea", "a tree and ")
    expect(page.locator("#live-switch")).to_have_attribute("aria-checked", "false")
    expect(page.locator("#live-says")).to_contain_text("busy")
