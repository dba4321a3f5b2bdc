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
def prompt(form: Page) -> Locator:
    """The prompt of a page with the shipped model's chips; the tiny model has none."""
    knowledge = Knowledge.beside(EMOJI_128)
    html = f'<div id="chips">{chips_html(knowledge, "en")}</div>'
    form.evaluate("document.getElementById('chips')?.remove()")
    form.evaluate("(html) => document.querySelector('#reading').insertAdjacentHTML('afterend', html)", html)
    return form.locator("#prompt textarea")


def choose(page: Page, kind: str, name: str) -> None:
    page.locator("#chips details", has=page.locator(f"[data-chosen={kind}]")).locator("summary").click()
    page.click(f"#chips [data-{kind}='{name}']")
    expect(page.locator("#chips details[open]")).to_have_count(0)


def test_each_is_put_in_its_place_and_any_takes_it_out(form: Page, prompt: Locator):
    prompt.fill("an apple")
    choose(form, "style", "3d style")
    choose(form, "colour", "red")
    choose(form, "ground", "orange")
    expect(prompt).to_have_value("a red apple on an orange background, 3d style")
    expect(form.locator("[data-chosen=colour]")).to_have_text("red")
    choose(form, "colour", "blue")
    choose(form, "ground", "orange")  # once more takes it out again
    expect(prompt).to_have_value("a blue apple, 3d style")
    choose(form, "colour", "")
    choose(form, "style", "")
    expect(prompt).to_have_value("an apple")
    expect(form.locator("[data-chosen=colour]")).to_have_text("any")
    form.keyboard.press("Control+z")
    expect(prompt).to_have_value("an apple, 3d style")


def test_a_chinese_prompt_gets_chinese_that_the_model_reads(form: Page, prompt: Locator):
    knowledge = Knowledge.beside(EMOJI_128)
    assert knowledge is not None
    prompt.fill("三只猫")
    choose(form, "colour", "blue")
    choose(form, "style", "noto style")
    choose(form, "ground", "red")
    expect(prompt).to_have_value("三只蓝色的猫，红色背景，noto风格")
    assert knowledge.read(prompt.input_value()).english == "three blue cats, noto style, on a red background"
    choose(form, "colour", "")
    expect(prompt).to_have_value("三只猫，红色背景，noto风格")


def test_every_menu_fits_a_phone(form: Page, prompt: Locator):
    form.set_viewport_size({"width": 390, "height": 844})
    for kind in ("style", "colour", "ground"):
        form.locator("#chips details", has=form.locator(f"[data-chosen={kind}]")).locator("summary").click()
        box = form.locator("#chips details[open] > div").bounding_box()
        assert box is not None and box["x"] >= 0 and box["x"] + box["width"] <= 390, kind
        form.keyboard.press("Escape")
    form.set_viewport_size({"width": 1280, "height": 1000})


def test_escape_folds_a_menu_and_stops_nothing(form: Page, prompt: Locator):
    ask(form, "a tree", LONG)
    form.click("#generate")
    expect(form.locator("#line")).to_contain_text("Step")
    form.locator("#chips summary").first.click()
    expect(form.locator("#chips details[open]")).to_have_count(1)
    form.keyboard.press("Escape")
    expect(form.locator("#chips details[open]")).to_have_count(0)
    expect(form.locator("#chips summary").first).to_be_focused()
    form.wait_for_timeout(300)
    expect(form.locator("#stop")).to_be_enabled()
    form.keyboard.press("Escape")
    expect(form.locator("#line")).to_contain_text("Stopped")
    form.locator("#chips summary").first.click()
    prompt.click()
    expect(form.locator("#chips details[open]")).to_have_count(0)
