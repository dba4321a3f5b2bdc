"""What a person does on the page, done by a real browser: type, watch, stop, paint, restore, read on a phone."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import BrowserContext, Dialog, Page, expect

from app.i18n import say
from app.metadata import read_png
from ldm_core.metadata import write_png
from ldm_core.sampling import SamplingParams
from tests.app.serving import Served
from tests.browser.driving import Traffic, choose, open_lab, set_slider, unfold

pytestmark = pytest.mark.browser
STEPS = 60
LONG = 1000  # steps of runs that are stopped: long enough on a fast machine to be seen running

# Notes every state the page passes through, however short: asking now and then would miss some on a busy machine.
WATCH = """() => {
  const seen = { buttons: new Set(), forming: new Set(), bars: [] };
  const alive = (id) => !document.getElementById(id).disabled;
  const note = () => {
    seen.buttons.add(`${alive("generate") ? "generate" : ""}+${alive("stop") ? "stop" : ""}`);
    const image = document.querySelector(".frame.forming img");
    if (image) seen.forming.add(image.src);
    const bar = document.querySelector("#line [role=progressbar]");
    if (bar) seen.bars.push(Number(bar.ariaValueNow ?? bar.getAttribute("aria-valuenow")));
  };
  new MutationObserver(note).observe(document.body, { subtree: true, childList: true, attributes: true });
  window.seen = () => ({ buttons: [...seen.buttons], forming: seen.forming.size, bars: seen.bars });
}"""


# Whether the editor has fitted a picture in: page.js gives its element a margin for a moment, so that it does.
FITTED = """() => new MutationObserver((changes) => changes.forEach(({ target, oldValue }) => {
  if (target.id === "canvas" && oldValue?.includes("margin-right")) window.fitted = true;
})).observe(document.body, { subtree: true, attributeFilter: ["style"], attributeOldValue: true })"""


def ask(page: Page, prompt: str, steps: int, pictures: int = 1) -> None:
    page.fill("#prompt textarea", prompt)
    unfold(page)
    choose(page, "batch", str(pictures))
    page.fill("#steps input[type=number]", str(steps))
    page.press("#steps input[type=number]", "Tab")


def wait_for_picture(page: Page) -> None:
    expect(page.locator("#line .line.done")).to_contain_text("Done in")
    expect(page.locator("#generate")).to_be_enabled()
    expect(page.locator("#stop")).to_be_disabled()


def put_on_canvas(page: Page, picture: Path) -> None:
    page.click("#start > button")
    expect(page.locator("#canvas canvas").first).to_be_visible()
    page.wait_for_timeout(1000)  # a file that comes before the editor has set itself up is lost
    page.set_input_files("#canvas input[type=file]", picture)


def download(page: Page, path: Path) -> Path:
    with page.expect_download() as caught:
        page.click("#download")
    caught.value.save_as(path)
    return path


def test_type_watch_and_get_a_picture_then_restore_it(page: Page, tmp_path: Path):
    ask(page, "a (red:1.3) apple, noto style", STEPS)
    page.fill("#seed input", "7")
    expect(page.locator("#reading .tokens")).to_have_text("7/75 tokens")  # "noto" is two; the weight is none
    frame = page.locator("#stage .frame").bounding_box()
    page.evaluate(WATCH)
    page.press("#prompt textarea", "Enter")
    expect(page.locator("#history img")).to_have_count(1)
    wait_for_picture(page)
    assert page.locator("#stage .frame").bounding_box() == frame, "the picture jumped"
    seen = page.evaluate("window.seen()")
    assert "+stop" in seen["buttons"] and "generate+stop" not in seen["buttons"]
    assert seen["forming"] >= 2, "the preview did not move"
    assert len(set(seen["bars"])) > 2 and seen["bars"] == sorted(seen["bars"]), "progress went backwards"
    expect(page.locator("#facts")).to_contain_text(f"Seed 7 · 32×32 · Steps {STEPS}")

    file = download(page, tmp_path / "made.png")
    made, info = read_png(file)
    assert (made.prompt, made.steps, made.seed) == ("a (red:1.3) apple, noto style", STEPS, 7)
    assert re.fullmatch(r"[0-9a-f]{64}", info["weights_sha256"])

    ask(page, "something else", 3)
    page.click("#dice")
    expect(page.locator("#seed input")).to_have_value("")
    page.click("#restore > button")
    page.set_input_files("#png input[type=file]", file)
    expect(page.locator("#line")).to_contain_text("Settings restored")
    expect(page.locator("#prompt textarea")).to_have_value("a (red:1.3) apple, noto style")
    expect(page.locator("#steps input[type=number]")).to_have_value(str(STEPS))
    expect(page.locator("#seed input")).to_have_value("7")
    page.click("#generate")
    expect(page.locator("#history img")).to_have_count(2)
    wait_for_picture(page)
    assert download(page, tmp_path / "again.png").read_bytes() == file.read_bytes(), "same settings, other bytes"


def test_stop_and_keys_and_reload(page: Page):
    page.focus("#prompt textarea")
    page.keyboard.type("one")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("two")
    expect(page.locator("#prompt textarea")).to_have_value("one\ntwo")
    ask(page, "a rocket", LONG)
    page.click("#generate")
    expect(page.locator("#line")).to_contain_text(re.compile(rf"Step \d+/{LONG} · .* left"))
    page.reload()
    expect(page.locator("#line")).to_contain_text(re.compile(rf"Step \d+/{LONG}"))
    expect(page.locator("#prompt textarea")).to_have_value("a rocket")
    expect(page.locator("#stop")).to_be_enabled()
    page.wait_for_timeout(1000)  # until every event of the page's opening has been answered
    expect(page.locator("#generate")).to_be_disabled()
    page.keyboard.press("Escape")
    expect(page.locator("#line")).to_contain_text(re.compile(rf"Stopped after step \d+ of {LONG}"))
    expect(page.locator("#generate")).to_be_enabled()
    expect(page.locator("#stop")).to_be_disabled()
    ask(page, "another rocket", 1)  # the worker is free
    page.click("#generate")
    wait_for_picture(page)


def test_a_closed_tab_leaves_the_job_to_the_next(served: Served, page: Page):
    """The first page starts a job and goes; a page that opens with the tab's memory finds it, and its Stop works."""
    ask(page, "a tree", LONG)
    page.click("#generate")
    expect(page.locator("#stop")).to_be_enabled()
    job = page.evaluate("sessionStorage.getItem('latent-lab-job')")
    other = page.context.new_page()
    other.goto(served.url)
    other.wait_for_selector("#generate:enabled")
    expect(other.locator("#line")).not_to_contain_text("Step")  # another tab has no job of its own
    other.close()
    second = page.context.new_page()
    page.close()
    second.goto(f"{served.url}/healthz")
    for key, value in (("job", job), ("running", "yes")):
        second.evaluate(f"sessionStorage.setItem('latent-lab-{key}', '{value}')")
    second.goto(served.url)
    expect(second.locator("#line")).to_contain_text(re.compile(rf"Step \d+/{LONG}"))
    second.click("#stop")
    expect(second.locator("#line")).to_contain_text("Stopped")
    expect(second.locator("#generate")).to_be_enabled()


def test_a_duplicated_tab_has_no_job_of_its_own(served: Served, page: Page):
    """A browser's Duplicate copies the tab's memory; the run and its Stop stay with the first."""
    ask(page, "a tree", LONG, pictures=8)  # still running when the second page is there
    page.click("#generate")
    expect(page.locator("#stop")).to_be_enabled()
    expect(page.locator("#line")).to_contain_text("Step")
    memory = page.evaluate("Object.entries(sessionStorage)")
    double = page.context.new_page()
    double.add_init_script(f"for (const [key, value] of {json.dumps(memory)}) sessionStorage.setItem(key, value)")
    double.goto(served.url)
    double.wait_for_selector("#generate:enabled")
    expect(double.locator("#prompt textarea")).to_have_value("a tree")
    expect(double.locator("#line")).not_to_contain_text("Step", timeout=2000)
    expect(double.locator("#stop")).to_be_disabled()
    double.close()
    expect(page.locator("#line")).to_contain_text("Step", timeout=2000)
    expect(page.locator("#stop")).to_be_enabled()
    page.click("#stop")
    expect(page.locator("#line")).to_contain_text("Stopped")


def test_inpaint_on_the_page(page: Page, tmp_path: Path):
    """Paint over the left half of a picture: the right half keeps its pixels, the left changes."""
    import numpy as np
    from PIL import Image

    picture = tmp_path / "blue.png"
    Image.new("RGB", (512, 512), (40, 90, 200)).save(picture)
    page.evaluate(FITTED)
    put_on_canvas(page, picture)
    canvas = page.locator("#canvas canvas").first
    canvas.scroll_into_view_if_needed()
    page.wait_for_function("window.fitted", polling=100)
    page.wait_for_timeout(500)  # the editor draws it there
    box = canvas.bounding_box()
    assert box is not None
    middle_x, middle_y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(middle_x - 60, middle_y - 60)
    page.mouse.down()
    page.mouse.move(middle_x - 60, middle_y + 60, steps=8)
    page.mouse.up()
    page.wait_for_timeout(500)
    page.click("#start > button")  # folded away, the canvas no longer draws itself sixty times a second
    ask(page, "a cat", 4)
    page.click("#generate")
    wait_for_picture(page)
    result = np.asarray(Image.open(download(page, tmp_path / "painted.png")).convert("RGB")).astype(int)
    side = result.shape[1]
    changed = np.abs(result - (40, 90, 200)).max(axis=-1) > 30
    assert changed[:, : side // 2].mean() > 0.05 and changed[:, side * 5 // 8 :].mean() < 0.01


def test_faults_are_one_sentence_in_the_page_s_language(page: Page, tmp_path: Path):
    page.click("#generate")
    expect(page.locator(".line.failed")).to_have_text(
        "No picture: Please type a prompt: a few words that say what to draw."
    )
    expect(page.locator("#generate")).to_be_enabled()
    ask(page, "word " * 90, 3)
    expect(page.locator("#reading")).to_contain_text("not read: “")
    page.click("#language")
    expect(page.locator("#generate")).to_have_text("生成")
    assert "lang=zh" in page.url
    page.fill("#prompt textarea", "")
    page.click("#generate")
    expect(page.locator(".line.failed")).to_have_text("没有生成图像：请输入提示词：用几个词说明要画什么。")
    text = tmp_path / "text.png"
    text.write_text("not a picture")
    page.click("#restore > button")
    page.set_input_files("#png input[type=file]", text)
    expect(page.locator(".line.failed")).to_have_text("这个文件不是可以读取的图片。")
    expect(page.locator("#steps input[type=number]")).to_have_value("3")
    page.fill("#prompt textarea", "half a thought")
    expect(page.locator("#reading")).to_contain_text("3/75")
    page.reload()
    expect(page.locator("#generate")).to_have_text("生成")
    expect(page.locator("#prompt textarea")).to_have_value("half a thought")
    unfold(page)
    expect(page.locator("#steps input[type=number]")).to_have_value("3")
    expect(page.locator(".frame.empty")).to_contain_text("图像将在这里成形")


def test_a_restored_file_offers_to_load_the_picture_it_began_from(page: Page, tmp_path: Path):
    made = SamplingParams("a cat", steps=2, seed=5, strength=0.6)
    write_png(tmp_path / "a.png", np.zeros((32, 32, 3), np.uint8), made, "", "1.0", {"start": "picture"})
    Image.new("RGB", (32, 32), (200, 30, 30)).save(tmp_path / "start.png")
    unfold(page)
    page.click("#restore > button")
    page.set_input_files("#png input[type=file]", tmp_path / "a.png")
    expect(page.locator("#line")).to_contain_text("It began from a picture")
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Load that picture").click()
    chooser.value.set_files(tmp_path / "start.png")
    expect(page.locator("#canvas canvas").first).to_be_visible()
    page.wait_for_timeout(1000)  # until the canvas has sent it
    page.click("#generate")
    expect(page.locator("#source")).to_contain_text("Redraws the picture on the canvas")


@pytest.mark.parametrize("said", ["Too many files from here; try again later.", None])
def test_a_refused_canvas_is_said_and_wakes_the_buttons(page: Page, tmp_path: Path, said: str | None):
    """Gradio's client sends it while it gathers what to ask, and tells no event of its failure."""
    Image.new("RGB", (32, 32), (200, 30, 30)).save(tmp_path / "start.png")
    ask(page, "a cat", 2)
    put_on_canvas(page, tmp_path / "start.png")
    page.wait_for_timeout(1000)  # until the canvas has sent it
    refused = {"status": 429, "json": {"detail": said}} if said else {"status": 502, "body": "<html>"}
    page.route("**/upload*", lambda route: route.fulfill(**refused))
    page.click("#generate")
    expect(page.locator(".line.failed")).to_contain_text(said or "Something went wrong")
    expect(page.locator("#generate")).to_be_enabled()
    page.unroute("**/upload*")
    page.click("#generate")
    wait_for_picture(page)


def test_a_run_that_began_in_another_language_is_said_again_in_this_one(form: Page):
    ask(form, "a cat", 200)
    form.click("#generate")
    expect(form.locator("#line")).to_contain_text("Step")
    form.click("#language")
    expect(form.locator("#generate")).to_have_text("生成")
    expect(form.locator("#line")).to_contain_text("用时")
    expect(form.locator("#facts")).to_contain_text("种子")


def test_an_event_that_is_refused_wakes_the_buttons(page: Page):
    """Gradio's client runs what follows an event only where that has ended without an error."""
    ask(page, "a cat", 2)
    page.route("**/queue/join*", lambda route: route.fulfill(status=429, json={"detail": "Too often."}))
    page.click("#generate")
    expect(page.locator("#generate")).to_be_enabled()
    page.unroute("**/queue/join*")
    page.click("#generate")
    wait_for_picture(page)


def test_a_folded_start_picture_shows_as_a_chip_until_it_is_taken_away(page: Page, tmp_path: Path):
    Image.new("RGB", (32, 32), (200, 30, 30)).save(tmp_path / "start.png")
    ask(page, "a cat", 2)
    put_on_canvas(page, tmp_path / "start.png")
    page.wait_for_timeout(1000)  # until the canvas has sent it
    chip, strength = page.locator(".start-chip"), page.locator("#strength input")
    expect(chip).to_be_hidden()
    expect(strength).to_be_enabled()
    page.click("#start > button")
    expect(chip).to_contain_text("Starts from this picture")
    expect(chip.locator("img")).to_have_js_property("naturalWidth", 32)
    page.click("#generate")
    wait_for_picture(page)
    expect(page.locator("#source")).to_contain_text("Redraws the picture on the canvas")
    chip.get_by_role("button").click()
    expect(chip).to_be_hidden()
    page.click("#generate")
    expect(page.locator("#source")).not_to_contain_text("Redraws")
    wait_for_picture(page)
    page.click("#start > button")
    expect(strength).to_be_disabled()
    expect(page.locator("#strength")).to_contain_text(say("en", "strength_asleep"))
    page.click("#start > button")


def test_another_language_reaches_what_stands_at_pictures(form: Page):
    ask(form, "a tree", 2)
    form.click("#generate")
    wait_for_picture(form)
    form.click("#language")
    expect(form.locator("#facts")).to_contain_text("随机种子")
    expect(form.locator("#line .done")).to_contain_text("用时")
    for part in ("#stage", "#history"):
        expect(form.locator(f"{part} .cell").first).to_have_attribute("data-facts", re.compile("^随机种子"))


def test_enter_that_ends_a_chinese_word_generates_nothing(form: Page):
    """Safari sends it when the word has ended, and marks it by its code alone."""
    form.fill("#prompt textarea", "苹果")
    pressed = """(keyCode) => {
        let pressed = 0;
        const count = (event) => { pressed += 1; event.stopImmediatePropagation(); };  // and no run begins
        document.addEventListener("click", count, { capture: true });
        const key = { key: "Enter", keyCode, bubbles: true, cancelable: true };
        document.querySelector("#prompt textarea").dispatchEvent(new KeyboardEvent("keydown", key));
        document.removeEventListener("click", count, { capture: true });
        return pressed;
    }"""
    assert form.evaluate(pressed, 229) == 0
    assert form.evaluate(pressed, 13) == 1


def test_theme_scaling_and_a_lost_connection(page: Page):
    dark = "document.body.classList.contains('dark')"
    before = page.evaluate(dark)
    page.click("#theme")
    assert page.evaluate(dark) is not before
    page.get_by_label("Pixels").check()
    assert page.evaluate("document.body.dataset.scaling") == "nearest"
    page.route("**/healthz", lambda route: route.abort())
    expect(page.locator("#connection.lost")).to_be_visible()
    page.unroute("**/healthz")
    expect(page.locator("#connection")).to_have_text("Connected again.")
    page.reload()
    page.wait_for_selector("#generate:enabled")
    assert page.evaluate(dark) is not before


def test_fits_a_phone(form: Page):
    form.set_viewport_size({"width": 390, "height": 844})
    form.click("#start > button")
    form.click("#restore > button")
    form.wait_for_timeout(500)
    width = form.evaluate("document.documentElement.scrollWidth")
    form.click("#start > button")  # folded away, the canvas no longer draws itself sixty times a second
    form.set_viewport_size({"width": 1280, "height": 1000})
    assert width <= 390


@pytest.mark.parametrize(("field", "value"), [("seed", "99999999999"), ("seed", "-5"), ("guidance-scale", "99")])
def test_a_value_out_of_range_is_refused_beside_its_field(form: Page, field: str, value: str):
    ask(form, "a cat", 2)
    form.fill(f"#{field} input", value)
    form.click("#generate")
    expect(form.locator(f"#{field}.fault .fault-text")).to_contain_text(value)
    expect(form.locator("#generate")).to_be_enabled()
    form.fill(f"#{field} input", "3")
    expect(form.locator(".fault")).to_have_count(0)
    expect(form.locator("#line .failed")).not_to_be_visible()
    form.fill(f"#{field} input", value)
    form.click("#generate")  # the same refusal once more is said once more
    expect(form.locator("#line .failed")).to_be_visible()
    form.fill(f"#{field} input", "3")
    form.click("#generate")
    wait_for_picture(form)


def test_a_refusal_opens_what_is_folded_over_its_field(form: Page):
    ask(form, "a cat", 0)
    form.click("#advanced > button")
    expect(form.locator("#steps")).not_to_be_visible()
    form.click("#generate")
    expect(form.locator("#steps.fault .fault-text")).to_contain_text("Steps must be at least 1")
    box = form.get_by_role("spinbutton", name=say("en", "steps"), exact=True)
    expect(box).to_have_accessible_description(re.compile("Steps must be at least 1"))
    expect(box).to_have_attribute("aria-invalid", "true")
    box.fill("2")
    expect(box).not_to_have_attribute("aria-invalid", "true")


def test_nothing_jumps_while_the_page_is_put_together(profile: BrowserContext, served: Served):
    other = profile.new_page()
    other.add_init_script("""window.jumped = 0;
        const note = (entry) => { if (!entry.hadRecentInput) window.jumped += entry.value; };
        new PerformanceObserver((list) => list.getEntries().forEach(note))
            .observe({ type: "layout-shift", buffered: true });""")
    other.goto(served.url)
    other.wait_for_selector("#generate:enabled")
    other.wait_for_timeout(1000)
    jumped = other.evaluate("window.jumped")
    other.close()
    assert jumped < 0.02


def test_svelte_leaves_the_page_s_lists_alone(form: Page):
    """It wraps plain arrays in proxies, through which Gradio then compares every event with every component."""
    lists = "[gradio_config.components, gradio_config.dependencies]"
    assert form.evaluate(f"{lists}.map((list) => Object.getPrototypeOf(list) === Array.prototype)") == [False, False]


def test_an_empty_seed_stays_empty_when_advanced_is_opened(form: Page):
    ask(form, "a rocket", 2, pictures=4)
    seeds = set()
    for _ in range(2):
        form.click("#generate")
        expect(form.locator("#generate")).to_be_disabled()
        wait_for_picture(form)
        seeds.add(form.locator("#facts [data-settings]").get_attribute("data-settings"))
        sources = form.locator(".frame .cell img").evaluate_all("(all) => all.map((img) => img.src)")
        assert len(set(sources)) == 4, "four seeds, one picture"
    expect(form.locator("#seed input")).to_have_value("")
    assert len(seeds) == 2, "the seed was not drawn again"


def test_four_pictures_open_large_with_their_own_settings(form: Page):
    ask(form, "a rocket", 2, pictures=4)
    form.fill("#seed input", "40")
    form.click("#generate")
    wait_for_picture(form)
    expect(form.locator(".frame .cell")).to_have_count(4)
    form.click(".frame .cell >> nth=2")
    viewer = form.locator("#viewer")
    expect(viewer).to_contain_text("Seed 42")
    form.keyboard.press("ArrowRight")
    expect(viewer).to_contain_text("Seed 43")
    viewer.locator("[data-way=use_settings]").click()
    expect(form.locator("#seed input")).to_have_value("43")
    form.click("#undo")
    expect(form.locator("#seed input")).to_have_value("40")


def test_a_picture_is_opened_in_a_lab_which_makes_it_again(page: Page):
    traffic = Traffic(page)
    ask(page, "a rocket", 3)
    page.fill("#seed input", "40")
    set_slider(page, "guidance-scale", 18)
    page.click("#generate")
    wait_for_picture(page)
    page.click(".frame .cell")
    page.click("#viewer [data-way=open_denoising]")
    expect(page.locator("#panel-walked")).to_contain_text("Steps kept: 3, seed 40")
    expect(page.locator("#walked-walk_prompt textarea")).to_have_value("a rocket")
    expect(page.locator("#walked-walk_guidance input[type=number]")).to_have_value("15")  # the lab's most
    expect(page.locator("#panel-walked")).to_contain_text("differs in: Guidance scale.")
    traffic.settle()  # a page that closes while its lab is drawn ends those calls


def test_a_shared_link_fills_the_form(page: Page, served: Served):
    ask(page, "a tree", 3)
    page.fill("#seed input", "11")
    page.click("#generate")
    wait_for_picture(page)
    settings = page.locator("#facts [data-settings]").get_attribute("data-settings")
    link = page.evaluate("(s) => '#' + new URLSearchParams({settings: s})", settings)
    other = page.context.new_page()
    other.goto(served.url + "/" + link)
    other.wait_for_selector("#generate:enabled")
    expect(other.locator("#prompt textarea")).to_have_value("a tree")
    unfold(other)
    expect(other.locator("#seed input")).to_have_value("11")


def test_a_link_opened_in_the_page_as_it_stands_fills_the_form(page: Page):
    """With a click in another program, say, whose browser gives it to the tab that has the page."""
    ask(page, "a tree", 3)
    page.click("#generate")
    wait_for_picture(page)
    page.evaluate("navigator.clipboard.writeText = async (text) => { window.copied = text; }")
    page.click("#share")
    page.fill("#prompt textarea", "something else")
    open_lab(page, "schedules")
    page.evaluate("location.hash = new URL(window.copied).hash")
    expect(page.locator("#prompt textarea")).to_have_value("a tree")
    assert page.evaluate("location.hash") == ""
    page.click("#undo")
    expect(page.locator("#prompt textarea")).to_have_value("something else")


def test_a_link_to_what_began_from_a_picture_says_that_it_is_missing(page: Page, tmp_path: Path):
    Image.new("RGB", (32, 32), (200, 40, 90)).save(tmp_path / "start.png")
    ask(page, "a tree", 4)
    put_on_canvas(page, tmp_path / "start.png")
    page.click("#generate")
    wait_for_picture(page)
    page.evaluate("navigator.clipboard.writeText = async (text) => { window.copied = text; }")
    page.click("#share")
    other = page.context.new_page()
    other.goto(page.evaluate("window.copied"))
    expect(other.locator("#connection.start_missing")).to_be_visible()
    expect(other.locator("#prompt textarea")).to_have_value("a tree")


def test_a_picture_that_came_while_a_lab_was_open_has_its_size(page: Page):
    ask(page, "a rocket", 200)
    page.click("#generate")
    expect(page.locator("#stop")).to_be_enabled()
    open_lab(page, "schedules")
    expect(page.locator("#panel-curves .caption").first).to_contain_text("t =")
    page.wait_for_function("sessionStorage.getItem('latent-lab-running') === ''")
    page.keyboard.press("Escape")  # stops nothing here
    page.get_by_role("tab", name="Generate", exact=True).click()
    wait_for_picture(page)
    picture = page.locator("#stage .cell img")
    expect(picture).to_be_visible()
    page.wait_for_function("document.querySelector('#stage .cell img').getBoundingClientRect().width >= 32")


def test_back_and_reload_stay_with_the_tab(page: Page):
    selected = page.locator("[role=tab][aria-selected=true]").first
    open_lab(page, "schedules")
    page.wait_for_url("**/?lab=schedules")
    page.get_by_role("tab", name="History", exact=True).click()
    page.wait_for_url("**/?lab=history")
    page.go_back()
    expect(selected).to_have_text(say("en", "schedules_tab"))
    page.reload()
    expect(page.locator("#panel-curves .caption").first).to_be_visible()
    page.go_back()
    expect(page.locator("#prompt")).to_be_visible()
    assert "lab=" not in page.url
    page.go_forward()
    expect(page.locator("#panel-curves .caption").first).to_be_visible()
    assert page.url.endswith("?lab=schedules")
    page.go_forward()
    expect(selected).to_have_text(say("en", "history_tab"))
    page.evaluate("history.back(); setTimeout(() => history.back(), 30)")  # before any answer to the first
    expect(page.locator("#prompt")).to_be_visible()
    page.wait_for_timeout(1000)
    page.go_forward()
    page.go_forward()
    expect(selected).to_have_text(say("en", "history_tab"))


def test_a_chip_in_the_prompt_is_pressed(form: Page):
    html = '<div id="chips"><button data-ground="red">red</button></div>'  # the tiny model has none
    form.evaluate("(html) => document.querySelector('#reading').insertAdjacentHTML('afterend', html)", html)
    chip = form.locator("#chips [data-ground]")
    form.fill("#prompt textarea", "a tree")
    expect(chip).to_have_attribute("aria-pressed", "false")
    chip.click()
    expect(form.locator("#prompt textarea")).to_have_value("a tree on a red background")
    expect(chip).to_have_attribute("aria-pressed", "true")
    form.fill("#prompt textarea", "a tree")
    expect(chip).to_have_attribute("aria-pressed", "false")


def test_the_large_view_keeps_its_keys(form: Page):
    ask(form, "a tree", 1, pictures=2)
    form.click("#generate")
    wait_for_picture(form)
    form.locator("#stage .cell").first.click()
    first = form.locator("#viewer .one").get_attribute("src")
    form.click("#viewer [data-way=next_picture]")
    expect(form.locator("#viewer [data-way=next_picture]")).to_be_focused()
    form.keyboard.press("ArrowLeft")
    expect(form.locator("#viewer .one")).to_have_attribute("src", first or "")


def test_what_cannot_be_copied_is_shown(form: Page):
    asked: list[str] = []

    def dismiss(dialog: Dialog) -> None:
        asked.append(dialog.default_value)
        dialog.dismiss()

    form.on("dialog", dismiss)
    form.evaluate("document.execCommand = () => false")
    form.evaluate("navigator.clipboard.writeText = async () => { throw new Error(); }; 0")
    form.evaluate("latentLab.copy('some text', document.getElementById('theme'))")
    form.wait_for_timeout(300)
    assert asked == ["some text"]
    form.remove_listener("dialog", dismiss)
    form.evaluate("document.execCommand = () => true")
    form.evaluate("for (const k of [1, 2]) latentLab.copy('x', document.getElementById('theme'))")
    expect(form.locator("#theme")).to_have_text("Copied")
    expect(form.locator("#theme")).to_have_text(say("en", "theme"), timeout=5000)
    form.evaluate("delete document.execCommand; delete navigator.clipboard.writeText")
