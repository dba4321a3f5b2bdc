"""Lessons in a real browser: folded in their lab, what is computed, what their links do, and the large view."""

from __future__ import annotations

import pytest
from playwright.sync_api import Locator, Page, expect

from app.i18n import say
from app.labs.lessons.lessons import LESSONS, REFERENCE
from app.labs.lessons.numbers import numbers
from ldm_core.presets import TINY
from tests.browser.driving import caption, open_lab

pytestmark = pytest.mark.browser


def lesson(page: Page, key: str, title: str = "lesson_title") -> Locator:
    """The lesson of the lab that is open, unfolded."""
    shown = page.locator(f"[data-lesson={key}]")
    if not shown.is_visible():
        page.locator(".lesson-card:visible").get_by_role("button", name=say("en", title)).click()
    expect(shown).to_be_visible()
    return shown


def test_a_lesson_is_folded_until_one_has_guessed(labs: Page):
    open_lab(labs, "schedules")
    shown = lesson(labs, "schedules")
    answer = say("en", "lesson_schedules_see", **numbers("schedules", TINY))
    expect(shown.get_by_text(answer)).to_be_hidden()
    shown.get_by_text("See", exact=True).focus()
    labs.keyboard.press("Enter")
    expect(shown.get_by_text(answer)).to_be_visible()


def test_a_link_sets_the_labs_own_controls(labs: Page):
    open_lab(labs, "schedules")
    lesson(labs, "schedules").get_by_role("link", name=say("en", "lesson_schedules_move2")).click()
    expect(caption(labs, "curves")).to_contain_text("t = 500")
    expect(labs.locator("#curves-linear_end input")).to_have_value("0.024")


def test_presents_step_by_step(labs: Page):
    open_lab(labs, "schedules")
    lesson(labs, "schedules")
    labs.locator(".lesson-card:visible").get_by_role("button", name=say("en", "lesson_present")).click()
    slides = labs.locator("dialog.presenter section:visible")
    expect(slides).to_contain_text(say("en", "beat_predict"))
    labs.keyboard.press("ArrowRight")
    labs.keyboard.press("ArrowRight")
    expect(slides).to_contain_text(say("en", "lesson_schedules_see", **numbers("schedules", TINY)))
    labs.keyboard.press("ArrowLeft")
    expect(slides).to_contain_text(say("en", "lesson_schedules_move"))
    labs.keyboard.press("Space")
    expect(slides).to_contain_text(say("en", "beat_see"))
    presenter = labs.get_by_role("dialog", name=say("en", "lesson_title"))
    presenter.get_by_role("button", name=say("en", "close")).click()  # a touch screen has no Escape
    expect(labs.locator("dialog.presenter")).to_have_count(0)


def test_presents_what_the_lesson_is_about_and_goes_on_after_a_link(labs: Page):
    open_lab(labs, "losses")
    lesson(labs, "losses")
    present = labs.locator(".lesson-card:visible").get_by_role("button", name=say("en", "lesson_present"))
    present.click()
    labs.keyboard.press("ArrowRight")
    slides = labs.locator("dialog.presenter section:visible")
    slides.get_by_role("link", name=say("en", "lesson_losses_move2")).click()
    expect(labs.locator("dialog.presenter")).to_have_count(0)
    expect(labs.locator("#panel-players .main-svg").first).to_be_visible()
    present.click()
    expect(slides).to_contain_text(say("en", "lesson_losses_move"))
    labs.keyboard.press("ArrowRight")
    expect(slides.locator(".main-svg").first).to_be_visible()
    labs.get_by_role("button", name=say("en", "play_back"), exact=True).click()
    expect(slides).to_contain_text(say("en", "lesson_losses_move"))
    labs.keyboard.press("Escape")


@pytest.mark.parametrize("lab", ["autoencoder", "attention"])  # bars within figures, one between them
def test_presents_each_colour_bar_once(labs: Page, lab: str):
    open_lab(labs, lab)
    lesson(labs, lab)
    bars = labs.locator(f"#panel-{LESSONS[lab].panel} .colour-bar")
    expect(bars.first).to_be_visible(timeout=30_000)
    labs.locator(".lesson-card:visible").get_by_role("button", name=say("en", "lesson_present")).click()
    labs.keyboard.press("ArrowRight")
    labs.keyboard.press("ArrowRight")
    shown = labs.locator("dialog.presenter section:visible .colour-bar")
    expect(shown).to_have_count(bars.count())
    labs.keyboard.press("Escape")


def test_the_reference_lesson_leads_to_what_it_names(labs: Page):
    open_lab(labs, "overview")
    shown = lesson(labs, "reference", "lesson_reference")
    shown.get_by_text("See", exact=True).click()
    expect(shown.locator("tbody tr")).to_have_count(len(REFERENCE))
    said = numbers("reference", TINY)
    expect(shown.locator("tbody tr").nth(3)).to_contain_text(say("en", "reference_weights_says", **said))
    shown.locator("tbody tr").nth(3).get_by_role("link").click()
    expect(caption(labs, "weights")).to_contain_text("t = 1:")
    expect(caption(labs, "weights")).to_contain_text(said["w1"])
