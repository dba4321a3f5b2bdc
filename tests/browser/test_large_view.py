"""The large view: zoom, any two side by side, what a deleted picture leaves, a variation that is refused."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from app.i18n import say
from tests.browser.test_page import ask, wait_for_picture

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def pictures(labs: Page) -> Page:
    """A page with pictures of seeds 40 to 43, which the tests here use one after the other."""
    ask(labs, "a rocket", 2, pictures=4)
    labs.fill("#seed input", "40")
    labs.click("#generate")
    wait_for_picture(labs)
    expect(labs.locator("#stage .cell img")).to_have_count(4)
    return labs


@pytest.fixture
def four(pictures: Page) -> Iterator[Page]:
    """The same, with the large view closed at the end."""
    yield pictures
    if pictures.locator("#viewer").is_visible():
        pictures.keyboard.press("Escape")


def width(page: Page) -> float:
    box = page.locator("#viewer .one").bounding_box()
    assert box is not None
    return box["width"]


def test_a_picture_is_zoomed_by_button_and_by_key(four: Page):
    four.click("#stage .cell >> nth=0")
    expect(four.locator("#viewer .one")).to_have_js_property("naturalWidth", 32)
    expect(four.get_by_role("dialog", name=say("en", "seeded_picture_alt", prompt="a rocket", seed=40))).to_be_visible()
    fitting = width(four)
    four.click("#viewer [data-way=zoom_in]")
    assert width(four) == 1.5 * fitting
    for _ in range(4):
        four.keyboard.press("+")
    assert width(four) == 16 * 32
    four.click("#viewer [data-way=next_picture]")
    assert width(four) == 16 * 32, "the next one is as large"
    for _ in range(6):
        four.keyboard.press("-")
    assert width(four) == 32, "its own pixels at least"


def test_a_phone_that_is_turned_shows_the_whole_picture(four: Page):
    four.click("#stage .cell >> nth=0")
    expect(four.locator("#viewer .one")).to_have_js_property("naturalWidth", 32)
    opened = width(four)
    shown = "document.querySelector('#viewer .one').getBoundingClientRect().width"
    four.set_viewport_size({"width": 100, "height": 800})
    four.wait_for_function(f"{shown} <= 100")
    four.set_viewport_size({"width": 1280, "height": 1000})
    four.wait_for_function(f"{shown} === {opened}")


def test_any_two_are_compared(four: Page):
    source = [four.locator(f"#stage .cell >> nth={k}").locator("img").get_attribute("src") or "" for k in range(4)]
    four.click("#stage .cell >> nth=1")
    four.click("#viewer [data-way=compare]")
    other = four.locator("#viewer .other")
    expect(other).to_have_attribute("src", source[0])
    picks = four.locator("#viewer .choice button")
    expect(picks).to_have_count(3)
    picks.nth(2).click()
    expect(other).to_have_attribute("src", source[3])
    expect(four.locator("#viewer .one")).to_have_attribute("src", source[1])
    four.keyboard.press("ArrowRight")
    expect(four.locator("#viewer .one")).to_have_attribute("src", source[2])
    expect(other).to_have_attribute("src", source[3])
    four.click("#viewer [data-way=compare]")
    expect(other).to_be_hidden()


def test_what_the_server_did_not_do_is_not_shown(four: Page):
    """A picture whose deletion or mark was not heard stays as it is."""
    four.route("**/queue/join*", lambda route: route.fulfill(status=429, json={"detail": "Too often."}))
    four.click("#stage .cell >> nth=1")
    four.click("#viewer [data-way=favourite]")
    four.click("#viewer [data-way=delete]")
    four.click("#viewer [data-way=delete_sure]")
    expect(four.locator("#viewer [data-way=delete]")).to_be_visible()
    four.unroute("**/queue/join*")
    expect(four.locator("#viewer [data-way=favourite]")).to_be_visible()
    four.keyboard.press("Escape")
    expect(four.locator("#stage .cell")).to_have_count(4)


def test_the_heart_under_the_picture_keeps_it(four: Page):
    heart = four.locator("#facts").get_by_role("button", name=say("en", "favourite"))
    heart.click()
    expect(four.locator("#stage .cell >> nth=0")).to_have_attribute("data-favourite", "true")
    expect(heart).to_have_attribute("aria-pressed", "true")
    four.click("#stage .cell >> nth=0")
    four.click("#viewer [data-way=unfavourite]")
    four.keyboard.press("Escape")
    expect(heart).to_have_attribute("aria-pressed", "false")


def test_a_variation_that_is_refused_starts_nothing_and_says_why(four: Page):
    spoil = (
        "(cell) => { cell.dataset.settings = JSON.stringify({...JSON.parse(cell.dataset.settings), steps: 99999}); }"
    )
    four.locator("#stage .cell").first.evaluate(spoil)
    page = four
    for _ in range(2):  # the same once more is said once more
        page.click("#stage .cell >> nth=0")
        page.click("#viewer [data-way=variations]")
        expect(page.locator("#steps.fault .fault-text")).to_contain_text("99999")
        expect(page.locator("#generate")).to_be_enabled()
        page.fill("#steps input[type=number]", "3")
        expect(page.locator(".fault")).to_have_count(0)
        page.fill("#steps input[type=number]", "2")
    expect(page.locator("#history .cell")).to_have_count(4)


def test_a_deleted_picture_takes_its_facts_along(four: Page):
    """The last one here: it leaves no picture."""
    expect(four.locator("#facts")).to_contain_text("Seed 40")
    for left in (3, 2, 1, 0):
        four.click("#stage .cell >> nth=0")
        four.click("#viewer [data-way=delete]")
        four.click("#viewer [data-way=delete_sure]")
        if left:
            four.keyboard.press("Escape")
        expect(four.locator("#viewer")).not_to_be_visible()
        expect(four.locator("#stage .cell")).to_have_count(left)
        expect(four.locator("#facts [data-settings]")).to_have_count(0)
        expect(four.locator("#download")).to_be_disabled()
    expect(four.locator("#stage .frame.empty")).to_be_visible()
    expect(four.locator("#history .cell")).to_have_count(0)
