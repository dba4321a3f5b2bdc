"""What the form does for whoever fills it: pasted settings, lists of prompts, a surprise, words on samplers."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from urllib.parse import quote

import pytest
from playwright.sync_api import Page, Route, expect

from tests.app.serving import Served
from tests.browser.driving import Traffic, choose, unfold
from tests.browser.test_page import ask, wait_for_picture

pytestmark = pytest.mark.browser
PASTED = "a castle\nNegative prompt: people\nSteps: 9, Sampler: Euler a, CFG scale: 4.5, Seed: 77, Clip skip: 2"


def test_pasted_settings_fill_the_form_on_a_click_and_undo_takes_them_out(form: Page):
    expect(form.locator("#fill")).not_to_be_visible()
    form.fill("#prompt textarea", PASTED)
    form.click("#fill")
    expect(form.locator("#prompt textarea")).to_have_value("a castle")
    expect(form.locator("#fill")).not_to_be_visible()
    expect(form.locator("#line")).to_contain_text("Without effect here: Clip skip.")
    unfold(form)
    expect(form.locator("#steps input[type=number]")).to_have_value("9")
    expect(form.locator("#seed input")).to_have_value("77")
    expect(form.locator("#negative-prompt textarea")).to_have_value("people")
    expect(form.locator("#sampler input")).to_have_value("euler_a")
    form.click("#undo")
    expect(form.locator("#prompt textarea")).to_have_value(PASTED)
    expect(form.locator("#seed input")).to_have_value("")


def test_undo_takes_back_a_reset_until_the_next_run(form: Page):
    ask(form, "a tree", 2)
    for _ in range(2):
        form.click("#reset")
        expect(form.locator("#steps input[type=number]")).to_have_value("25")
        form.click("#undo")
        expect(form.locator("#steps input[type=number]")).to_have_value("2")
    form.click("#reset")
    expect(form.locator("#steps input[type=number]")).to_have_value("25")
    form.fill("#steps input[type=number]", "2")
    form.click("#generate")
    expect(form.locator("#undo")).not_to_be_visible()
    wait_for_picture(form)


@pytest.mark.parametrize("pressed", ["#surprise", "#examples button >> nth=1"])
def test_ctrl_z_takes_back_what_a_button_wrote(form: Page, pressed: str):
    form.focus("#prompt textarea")
    form.keyboard.type("my own words")
    form.click(pressed)
    expect(form.locator("#prompt textarea")).not_to_have_value("my own words")
    form.keyboard.press("Control+z")
    expect(form.locator("#prompt textarea")).to_have_value("my own words")


def test_a_sampler_says_what_it_does_and_eta_sleeps_where_it_has_no_effect(form: Page):
    unfold(form)
    eta = form.locator("#eta input")
    expect(eta).to_be_enabled()
    choose(form, "sampler", "unipc")
    expect(form.locator("#advanced")).to_contain_text("Corrects each step by the next answer")
    expect(eta).to_be_disabled()
    expect(form.locator("#eta")).to_contain_text("only ddim uses it")
    form.click("#language")
    expect(form.locator("#advanced")).to_contain_text("用下一次预测校正每一步")
    choose(form, "sampler", "ddim")
    expect(eta).to_be_enabled()


def test_what_has_no_effect_sleeps_and_says_why(form: Page):
    unfold(form)
    varied, negative = form.locator("#variation-seed input"), form.locator("#negative-prompt textarea")
    expect(varied).to_be_disabled()
    expect(form.locator("#variation-seed")).to_contain_text("No effect at variation strength 0")
    form.fill("#variation-strength input >> nth=0", "0.3")
    expect(varied).to_be_enabled()
    expect(form.locator("#variation-seed")).to_contain_text("The noise it goes towards")
    expect(negative).to_be_enabled()
    form.fill("#guidance-scale input >> nth=0", "1")
    expect(negative).to_be_disabled()
    form.click("#language")
    expect(form.locator("#negative-prompt")).to_contain_text("引导强度为 1 时不起作用")
    form.fill("#guidance-scale input >> nth=0", "2")
    expect(negative).to_be_enabled()


def test_a_control_leads_to_its_lab(page: Page):
    traffic = Traffic(page)
    unfold(page)
    page.fill("#prompt textarea", "half a thought")
    page.locator("#steps .info-text a").click()
    expect(page.locator("#lab-schedules")).to_be_visible()
    page.wait_for_url("**/?lab=schedules")
    page.go_back()
    expect(page.locator("#prompt textarea")).to_have_value("half a thought")
    traffic.settle()


def test_a_fault_goes_when_its_field_is_filled_by_a_button(form: Page):
    ask(form, "a tree", 2)
    form.fill("#seed input", "-5")
    form.click("#generate")
    expect(form.locator("#seed.fault .fault-text")).to_contain_text("-5")
    form.fill("#steps input[type=number]", "3")
    expect(form.locator("#seed.fault")).to_be_visible()  # it is not about this
    form.click("#dice")
    expect(form.locator(".fault, .fault-text")).to_have_count(0)
    expect(form.locator("#line .failed")).not_to_be_visible()


def test_words_typed_while_the_page_is_put_together_stay(page: Page, served: Served):
    """What the form held before a reload comes after an answer of the server; what is typed before that stays."""
    page.fill("#prompt textarea", "old words")
    unfold(page)
    page.fill("#steps input[type=number]", "9")
    page.press("#steps input[type=number]", "Tab")
    page.wait_for_function("JSON.parse(sessionStorage.getItem('latent-lab-form')).steps === 9")
    held: list[Route] | None = []
    page.route("**/gradio_api/queue/join**", lambda route: route.continue_() if held is None else held.append(route))
    page.reload()
    page.locator("#prompt textarea").press_sequentially("new words")
    waiting, held = held, None  # from now on none is held: one after the loop would wait for ever
    for route in waiting:
        route.continue_()
    expect(page.locator("#generate")).to_be_enabled()
    unfold(page)
    expect(page.locator("#steps input[type=number]")).to_have_value("9")
    expect(page.locator("#prompt textarea")).to_have_value("new words")
    page.wait_for_function("JSON.parse(sessionStorage.getItem('latent-lab-form')).prompt === 'new words'")


def test_every_part_changes_its_language_and_back(form: Page):
    parts = {
        "#state": ("ready", "就绪"),
        "#scaling": ("Smooth", "平滑"),
        ".credits": ("Trained on open emoji sets", "开放"),
    }
    unfold(form)
    slider, number = (form.locator(f"#steps-slider input[type={kind}]") for kind in ("range", "number"))
    for k in (1, 0):
        form.click("#language")
        for part, words in parts.items():
            expect(form.locator(part).first).to_contain_text(words[k])
        expect(slider).to_have_attribute("aria-label", ("range slider for Steps", "采样步数（滑块）")[k])
        expect(number).to_have_attribute("aria-label", ("number input for Steps", "采样步数（数值）")[k])


def test_a_language_switch_draws_what_is_shown_alone(page: Page):
    traffic = Traffic(page)
    traffic.settle()
    before = traffic.count
    page.click("#language")
    expect(page.locator("#generate")).to_have_text("生成")
    traffic.settle()
    assert traffic.count - before <= 20, "labs that nobody sees are drawn, and hold everything else up"


def test_a_size_beyond_the_trained_one_is_marked_and_explained(form: Page):
    unfold(form)
    note = form.locator("#size-note")
    expect(note).not_to_be_visible()
    form.fill("#width input >> nth=0", "64")
    expect(note).to_contain_text("Larger than the model was trained on")
    form.click("#advanced > button")
    form.click("#advanced > button")
    expect(note).to_be_visible()
    form.fill("#width input >> nth=0", "32")
    expect(note).not_to_be_visible()


@pytest.mark.parametrize("tab, field", [("generate", "#width"), ("schedules", "#curves-T")])
def test_what_is_typed_into_a_section_as_soon_as_it_shows_stays(page: Page, tab: str, field: str):
    """Gradio writes a section's first values into it a moment after it has drawn it."""
    opens = "#advanced > button" if tab == "generate" else f"[role=tab][data-tab-id={tab}]"
    page.context.new_cdp_session(page).send("Emulation.setCPUThrottlingRate", {"rate": 4})
    typed = """([opens, field]) => new Promise((done) => {
        document.querySelector(opens).click();
        const type = () => {
            const box = document.querySelector(`${field} input`);
            if (!box?.checkVisibility({ visibilityProperty: true })) return setTimeout(type);
            box.value = 64;
            box.dispatchEvent(new Event("input", { bubbles: true }));
            setTimeout(done, 1200); // the moment took 0.3 s at this rate
        };
        type();
    })"""
    page.evaluate(typed, [opens, field])
    expect(page.locator(f"{field} input").first).to_have_value("64", timeout=5000)


def test_question_mark_lists_the_shortcuts_but_is_a_letter_in_a_prompt(form: Page):
    form.focus("#prompt textarea")
    form.keyboard.type("what?")
    expect(form.locator("#shortcuts")).to_have_count(0)
    form.evaluate("document.activeElement.blur()")
    form.keyboard.press("?")
    expect(form.locator("#shortcuts")).to_contain_text("Shift + Enter")
    form.keyboard.press("Escape")
    expect(form.locator("#shortcuts")).to_have_count(0)
    form.click("#help")
    expect(form.locator("#shortcuts")).to_be_visible()


def test_many_prompts_become_a_sheet_and_a_zip(form: Page, tmp_path: Path):
    ask(form, "not this", 2, pictures=2)
    form.click("#many > button")
    form.fill("#many-lines textarea", "a tree\n\na house")
    form.click("#many-start")
    expect(form.locator("#many-line")).to_contain_text("Prompts made: 2 of 2.")
    expect(form.locator("#many-sheet img")).to_be_visible()
    with form.expect_download() as caught:
        form.click("#many-zip")
    caught.value.save_as(tmp_path / "all.zip")
    with zipfile.ZipFile(tmp_path / "all.zip") as archive:
        assert [name[:7] for name in archive.namelist()] == ["01-a-tr"] * 2 + ["02-a-ho"] * 2
    expect(form.locator("#many-start")).to_be_enabled()


def test_a_long_run_that_ends_in_a_hidden_tab_is_told(page: Page):
    page.evaluate(
        """() => {
        window.told = [];
        window.Notification = class { constructor(title, options) { window.told.push(options.body); } close() {} };
        Notification.permission = "granted";
        Object.defineProperty(document, "hidden", { get: () => true });
        const now = Date.now.bind(Date);
        document.querySelector("#generate").addEventListener("click", () => setTimeout(() => {
          Date.now = () => now() + 60000;  // a minute later
        }, 100));
        }"""
    )
    ask(page, "a tree", 20)
    page.click("#generate")
    wait_for_picture(page)
    page.wait_for_function("window.told.length")
    assert page.evaluate("window.told") == ["Your pictures are ready."]


def test_a_link_gives_a_field_nothing_but_its_value(page: Page, served: Served):
    """Gradio's client takes an object for properties of the component: foreign words on the page."""
    hostile = {"steps": {"__type__": "update", "info": "Sign in again"}, "prompt": 5, "guidance_scale": 3}
    page.goto("about:blank")
    page.goto(f"{served.url}/#settings={quote(json.dumps(hostile))}")
    unfold(page)
    expect(page.locator("#guidance-scale input[type=number]")).to_have_value("3")
    expect(page.locator("#prompt textarea")).to_have_value("")
    expect(page.locator("body")).not_to_contain_text("Sign in again")
