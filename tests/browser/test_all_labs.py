"""What holds for every lab: it comes to rest, nothing serious keeps anybody out, it fits a phone, it is in Chinese."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from playwright.sync_api import Page, expect

from app.i18n import say, words
from app.ui.labs import LABS
from tests.browser import axe
from tests.browser.driving import Traffic, caption, note, open_lab

pytestmark = [pytest.mark.browser, pytest.mark.slow]  # each lab is opened several times
FIRST = {lab.key: f"#panel-{lab.panels[0].key}" for lab in LABS}  # what is there once the tab is open
KEYS = list(FIRST)
DESKTOP, PHONE = {"width": 1280, "height": 1000}, {"width": 390, "height": 844}
IDLE_SECONDS = 3.0
READS = """() => [...document.querySelectorAll("[role=tab], [role=tabpanel] *")]
  .filter((el) => el.matches("[role=tab]") || el.closest("[role=tabpanel]").checkVisibility() && !el.closest(".katex"))
  .flatMap((el) =>
  [...el.childNodes].filter((node) => node.nodeType === 3).map((node) => node.textContent.trim()).concat(
    el.placeholder ?? "", el.alt ?? "", el.value && el.type === "button" ? el.value : "")).filter(Boolean)"""
WIDE = """() => [...document.querySelectorAll("body *")].filter((el) => el.checkVisibility()
  && el.getBoundingClientRect().right > 391).slice(0, 8).map((el) => `${el.tagName}#${el.id}.${el.className}`)"""


@dataclass(frozen=True)
class Visit:
    """What was found in one tab."""

    idle_questions: int
    serious: list[str]
    wide: list[str]


@pytest.fixture(scope="module")
def visits(labs: Page, request: pytest.FixtureRequest) -> Iterator[dict[str, Visit]]:
    """Every tab opened once, looked at in both sizes while nobody touches it."""
    try:
        rules = request.getfixturevalue("rules")
    except pytest.skip.Exception:
        rules = ""
    traffic, found = Traffic(labs), {}
    for key in KEYS:
        open_lab(labs, key)
        expect(labs.locator(FIRST[key])).to_be_visible()
        traffic.settle()
        before = traffic.count
        serious = axe.findings(labs, rules) if rules else []
        labs.wait_for_timeout(max(0.0, 1000 * (IDLE_SECONDS - traffic.quiet)))
        asked = traffic.count - before
        labs.set_viewport_size(PHONE)
        labs.wait_for_timeout(200)
        wide = labs.evaluate(WIDE) if labs.evaluate("document.documentElement.scrollWidth") > PHONE["width"] else []
        labs.set_viewport_size(DESKTOP)
        found[key] = Visit(asked, serious, wide)
    yield found


@pytest.mark.parametrize("key", KEYS)
def test_comes_to_rest(visits: dict[str, Visit], key: str):
    assert visits[key].idle_questions == 0


@pytest.mark.parametrize("key", KEYS)
def test_has_no_serious_finding(visits: dict[str, Visit], rules: str, key: str):
    assert visits[key].serious == []


@pytest.mark.parametrize("key", KEYS)
def test_fits_a_phone(visits: dict[str, Visit], key: str):
    assert visits[key].wide == []


def test_is_worked_by_keyboard_alone(labs: Page):
    tab_to_lab(labs, "lower_bound")
    tab_until(labs, "#weights-t input[type=range]")
    labs.keyboard.press("ArrowRight")
    expect(caption(labs, "weights")).to_contain_text("t = 401")
    tab_to_lab(labs, "denoising")
    tab_until(labs, "#walked-walk_steps input[type=range]")
    labs.keyboard.press("Home")
    labs.keyboard.press("ArrowRight")
    tab_until(labs, "#walked-run")
    labs.keyboard.press("Enter")
    expect(note(labs, "walked")).to_contain_text("Steps kept: 2")
    expect(labs.locator("#walked-film img")).to_have_count(3)


def tab_to_lab(page: Page, key: str) -> None:
    page.get_by_role("tab", name=say("en", f"{key}_tab"), exact=True).focus()
    page.keyboard.press("Enter")
    expect(page.locator(FIRST[key])).to_be_visible()


def tab_until(page: Page, selector: str, most: int = 30) -> None:
    """Press Tab until this has the focus."""
    for _ in range(most):
        page.keyboard.press("Tab")
        if page.evaluate("(selector) => document.activeElement.matches(selector)", selector):
            return
    raise AssertionError(f"{most} times Tab did not lead to {selector}")


def test_no_english_is_left_in_chinese(labs: Page):
    labs.goto(labs.url.split("?")[0] + "?lang=zh")
    labs.wait_for_selector("#generate:enabled")
    expect(labs.locator("#generate")).to_have_text(say("zh", "generate"))
    traffic = Traffic(labs)
    english = [re.compile(pattern) for pattern in patterns()]
    left = {}
    for key in KEYS:
        open_lab(labs, key, "zh")
        traffic.settle()
        shown = labs.evaluate(READS)
        assert any(re.search(r"[\u4e00-\u9fff]", text) for text in shown), key
        if found := sorted({text for text in shown if any(pattern.fullmatch(text) for pattern in english)}):
            left[key] = found
    assert left == {}


def patterns() -> list[str]:
    """Every English sentence that Chinese says otherwise, as a regular expression with its blanks open."""
    made = []
    for key, text in words("en").items():
        if key.startswith("colour_"):  # the default prompt's own words are such too
            continue
        for part in re.sub(r"^### ", "", text).split("\n\n"):
            spoken = re.sub(r"{\w+}", "", part)
            if part not in words("zh")[key] and re.search(r"[A-Za-z]{3,}", spoken):
                made.append(re.sub(r"\\{\w+\\}", ".*", re.escape(part)))
    return made
