"""Style, colour and ground in one row of menus, which write into the prompt in the prompt's own language."""

from __future__ import annotations

import pytest
from playwright.sync_api import Locator, Page, expect

from app.ui.prompt_line import chips_html
from ldm_core.shipped import EMOJI_128
from ldm_core.text.knowledge import Knowledge
from tests.browser.test_page import LONG, ask

pytestmark = pytest.mark.browser


@pytest.fixture
def prompt(page: Page) -> Locator:
    """The prompt of a page with the shipped model's chips; the tiny model has none."""
    knowledge = Knowledge.beside(EMOJI_128)
    html = f'<div id="chips">{chips_html(knowledge, "en")}</div>'
    page.evaluate("(html) => document.querySelector('#reading').insertAdjacentHTML('afterend', html)", html)
    return page.locator("#prompt textarea")


def choose(page: Page, kind: str, name: str) -> None:
    page.locator("#chips details", has=page.locator(f"[data-chosen={kind}]")).locator("summary").click()
    page.click(f"#chips [data-{kind}='{name}']")
    expect(page.locator("#chips details[open]")).to_have_count(0)


def test_each_is_put_in_its_place_and_any_takes_it_out(page: Page, prompt: Locator):
    prompt.fill("an apple")
    choose(page, "style", "3d style")
    choose(page, "colour", "red")
    choose(page, "ground", "orange")
    expect(prompt).to_have_value("a red apple on an orange background, 3d style")
    expect(page.locator("[data-chosen=colour]")).to_have_text("red")
    choose(page, "colour", "blue")
    choose(page, "ground", "orange")  # once more takes it out again
    expect(prompt).to_have_value("a blue apple, 3d style")
    choose(page, "colour", "")
    choose(page, "style", "")
    expect(prompt).to_have_value("an apple")
    expect(page.locator("[data-chosen=colour]")).to_have_text("any")
    page.keyboard.press("Control+z")
    expect(prompt).to_have_value("an apple, 3d style")


def test_a_chinese_prompt_gets_chinese_that_the_model_reads(page: Page, prompt: Locator):
    knowledge = Knowledge.beside(EMOJI_128)
    assert knowledge is not None
    prompt.fill("三只猫")
    choose(page, "colour", "blue")
    choose(page, "style", "noto style")
    choose(page, "ground", "red")
    expect(prompt).to_have_value("三只蓝色的猫，红色背景，noto风格")
    assert knowledge.read(prompt.input_value()).english == "three blue cats, noto style, on a red background"
    choose(page, "colour", "")
    expect(prompt).to_have_value("三只猫，红色背景，noto风格")


def test_escape_folds_a_menu_and_stops_nothing(page: Page, prompt: Locator):
    ask(page, "a tree", LONG)
    page.click("#generate")
    expect(page.locator("#line")).to_contain_text("Step")
    page.locator("#chips summary").first.click()
    expect(page.locator("#chips details[open]")).to_have_count(1)
    page.keyboard.press("Escape")
    expect(page.locator("#chips details[open]")).to_have_count(0)
    expect(page.locator("#chips summary").first).to_be_focused()
    page.wait_for_timeout(300)
    expect(page.locator("#stop")).to_be_enabled()
    page.keyboard.press("Escape")
    expect(page.locator("#line")).to_contain_text("Stopped")
    page.locator("#chips summary").first.click()
    prompt.click()
    expect(page.locator("#chips details[open]")).to_have_count(0)
