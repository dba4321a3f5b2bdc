"""What a person does in a lab: open its tab, move a slider, choose from a list, read a number."""

from __future__ import annotations

import base64
import io
import re
import time

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Locator, Page, Request, expect

from app.i18n import say

NUMBER = r"-?\d+(?:\.\d+)?(?:e[-+]?\d+)?"
QUIET_SECONDS = 1.5  # without a question to the server: the page has settled


def unfold(page: Page) -> None:
    """Open Advanced, where it is still folded."""
    if not page.locator("#steps").is_visible():
        page.click("#advanced > button")
    expect(page.locator("#steps input[type=number]")).to_be_visible()


def empty_form(page: Page) -> None:
    """The Generate tab as it was opened, but with Advanced unfolded; in the gallery stays what was made."""
    page.keyboard.press("Escape")  # a dialog, a run
    page.locator("[role=tab][data-tab-id=generate]").click()
    if "lang=zh" in page.url:
        page.click("#language")
    expect(page.locator("#generate")).to_have_text(say("en", "generate"))
    expect(page.locator("#generate")).to_be_enabled()
    page.evaluate("document.querySelector('#line .done')?.classList.remove('done')")  # of the run before
    page.evaluate("document.querySelectorAll(':is(#start, #restore, #many) > .open').forEach((open) => open.click())")
    unfold(page)
    page.fill("#prompt textarea", "")
    page.fill("#width input >> nth=0", "8")  # the model's own size comes from the server: so its answer is seen
    page.click("#reset")
    expect(page.locator("#width input").first).not_to_have_value("8")


def open_lab(page: Page, key: str, lang: str = "en") -> None:
    page.get_by_role("tab", name=say(lang, f"{key}_tab"), exact=True).click()


def set_slider(page: Page, elem_id: str, value: float) -> None:
    box = page.locator(f"#{elem_id} input[type=number]")
    box.fill(str(value))
    box.press("Tab")


def set_number(page: Page, elem_id: str, value: float) -> None:
    box = page.locator(f"#{elem_id} input")
    box.fill(str(value))
    box.press("Tab")


def choose(page: Page, elem_id: str, option: str) -> None:
    """Take an option of a list: of its own, since the list used before may still be fading out."""
    box = page.locator(f"#{elem_id} input")
    box.click()
    page.locator(f"[id='{box.get_attribute('aria-controls')}']").get_by_role("option", name=option, exact=True).click()


def caption(page: Page, panel: str, nth: int = 0) -> Locator:
    """What is said under a panel's first, second … plot."""
    return page.locator(f"#panel-{panel} .card").nth(nth).locator(".caption").first


def note(page: Page, panel: str) -> Locator:
    """The panel's line for progress and faults."""
    return page.locator(f"#panel-{panel} .panel-note").first


def number(text: str, before: str, after: str = "") -> float:
    """The first number in a sentence between these words."""
    found = re.search(rf"{re.escape(before)}({NUMBER}){re.escape(after)}", text)
    assert found, f"no number after {before!r} in {text!r}"
    return float(found[1])


def pixels(image: Locator) -> NDArray[np.int64]:
    """A picture that stands in the page itself, [H,W,3]."""
    data = (image.get_attribute("src") or "").partition("base64,")[2]
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB")).astype(np.int64)


class Traffic:
    """The page's questions to the server: how many there were, and whether one is open."""

    def __init__(self, page: Page) -> None:
        self.page, self.count, self.last, self._open = page, 0, time.monotonic(), set[Request]()
        page.on("request", self._begun)
        page.on("requestfinished", self._ended)
        page.on("requestfailed", self._ended)

    @property
    def quiet(self) -> float:
        """Seconds since the last question or answer."""
        return time.monotonic() - self.last

    def settle(self, seconds: float = 120.0) -> None:
        """Until nothing has been asked for a moment. A page whose events call each other never comes to rest."""
        end = time.monotonic() + seconds
        while self._open or self.quiet < QUIET_SECONDS:
            assert time.monotonic() < end, f"the page still asks after {seconds} s: {self.count} questions"
            self.page.evaluate("new Promise((idle) => requestIdleCallback(() => setTimeout(idle, 50)))")

    def _begun(self, request: Request) -> None:
        if request.method == "POST":
            self.count, self.last = self.count + 1, time.monotonic()
            self._open.add(request)

    def _ended(self, request: Request) -> None:
        if request in self._open:
            self._open.discard(request)
            self.last = time.monotonic()
