"""The Overview lab in a real browser: it plays a generation, leads into labs, and keeps still where that is wanted."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from app.i18n import say
from app.labs.overview.diagram import BEFORE
from app.labs.overview.panels import STEPS
from tests.browser.driving import open_lab

pytestmark = pytest.mark.browser
LAST = BEFORE + STEPS


@pytest.fixture
def overview(labs: Page) -> Page:
    open_lab(labs, "overview")
    expect(labs.locator("latent-overview")).to_be_visible()
    return labs


def at(page: Page, frame: int) -> None:
    expect(page.locator("latent-overview input[type=range]")).to_have_value(str(frame))


def test_is_drawn_when_it_opens(overview: Page):
    at(overview, LAST)
    expect(overview.locator(".stage")).to_have_count(5)
    expect(overview.locator(".said p:visible")).to_contain_text("The decoder turns the last latent")


def test_goes_step_by_step(overview: Page):
    overview.locator("latent-overview input[type=range]").fill(str(BEFORE))
    expect(overview.locator(".said p:visible")).to_contain_text(f"Step 1 of {STEPS}")
    expect(overview.locator(".at-loop [data-step]:visible")).to_have_count(2)
    expect(overview.locator(".at-decoder")).to_have_class("stage at-decoder later")
    overview.click("latent-overview [data-do=next]")
    expect(overview.locator(".said p:visible")).to_contain_text(f"Step 2 of {STEPS}")


def test_plays_by_itself_and_stops_on_a_click(overview: Page):
    overview.emulate_media(reduced_motion="no-preference")
    overview.locator("latent-overview input[type=range]").fill(str(BEFORE + 2))
    stopped = overview.evaluate(  # in the page: a look from here may come when it has played to its end
        """(until) => new Promise((stopped) => {
            const player = document.querySelector("latent-overview");
            const play = player.querySelector("[data-do=play]"), range = player.querySelector("input[type=range]");
            play.click();
            const look = () => {
                if (Number(range.value) < until) return setTimeout(look, 20);
                window.playing = play.ariaLabel;
                play.click();
                stopped(Number(range.value));
            };
            look();
        })""",
        BEFORE + 4,
    )
    overview.wait_for_timeout(900)
    at(overview, stopped)
    assert BEFORE + 4 <= stopped < LAST
    assert overview.evaluate("window.playing") == say("en", "play_pause")
    expect(overview.locator("latent-overview [data-do=play]")).to_have_attribute("aria-label", say("en", "play_play"))


def test_with_reduced_motion_a_click_is_one_moment(overview: Page):
    overview.emulate_media(reduced_motion="reduce")
    overview.locator("latent-overview input[type=range]").fill(str(LAST))
    overview.click("latent-overview [data-do=play]")
    at(overview, 0)
    overview.click("latent-overview [data-do=play]")
    at(overview, 1)
    overview.wait_for_timeout(900)
    at(overview, 1)
    overview.emulate_media(reduced_motion="no-preference")


def test_a_part_opens_its_lab(overview: Page):
    overview.locator(".stage").get_by_role("link", name=say("en", "overview_encoder")).click()
    expect(overview.locator("#lab-architecture")).to_be_visible()
    expect(overview.locator("#blocks-part").get_by_label(say("en", "part_text"), exact=True)).to_be_checked()


def test_on_a_phone_a_menu_takes_the_place_of_the_tabs(labs: Page):
    labs.set_viewport_size({"width": 390, "height": 844})
    menu = labs.locator("#tab-menu")
    expect(menu).to_be_visible()
    menu.select_option(label=say("en", "schedules_tab"))
    expect(labs.locator("#lab-schedules")).to_be_visible()
    view, controls = (labs.locator(f"#panel-curves .panel-{part}").bounding_box() for part in ("view", "controls"))
    assert view and controls and view["y"] < controls["y"]  # the plot comes first
    labs.set_viewport_size({"width": 1280, "height": 1000})
    expect(menu).to_be_hidden()
