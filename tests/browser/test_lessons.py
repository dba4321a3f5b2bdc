"""The Lessons tab in a real browser: what is folded, what is computed, where its links lead."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from app.i18n import say
from app.labs.lessons.lessons import LESSONS, REFERENCE
from app.labs.lessons.numbers import numbers
from ldm_core.config import TINY
from tests.browser.driving import caption, open_lab

pytestmark = pytest.mark.browser


def lesson(page: Page, name: str) -> None:
    page.locator("#guided-lesson").get_by_label(name, exact=True).check()


def test_a_lesson_is_folded_until_one_has_guessed(labs: Page):
    open_lab(labs, "lessons")
    shown = labs.locator("#guided-shown")
    answer = say("en", "lesson_schedules_see", **numbers("schedules", TINY))
    expect(shown.get_by_text(answer)).to_be_hidden()
    shown.get_by_text("See", exact=True).focus()
    labs.keyboard.press("Enter")
    expect(shown.get_by_text(answer)).to_be_visible()
    for key in LESSONS:
        lesson(labs, say("en", "lesson_reference" if key == "reference" else f"{key}_tab"))
        expect(shown.locator(f"[data-lesson={key}]")).to_be_visible()


def test_the_reference_lesson_leads_to_what_it_names(labs: Page):
    open_lab(labs, "lessons")
    lesson(labs, say("en", "lesson_reference"))
    shown = labs.locator("#guided-shown")
    shown.get_by_text("See", exact=True).click()
    expect(shown.locator("tbody tr")).to_have_count(len(REFERENCE))
    said = numbers("reference", TINY)
    expect(shown.locator("tbody tr").nth(3)).to_contain_text(say("en", "reference_weights_says", **said))
    with labs.context.expect_page() as opened:
        shown.locator("tbody tr").nth(3).get_by_role("link").click()
    expect(caption(opened.value, "weights")).to_contain_text("t = 1:")
    expect(caption(opened.value, "weights")).to_contain_text(said["w1"])
    opened.value.close()
