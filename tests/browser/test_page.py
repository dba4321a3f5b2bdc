"""What a person does on the page, done by a real browser: type, watch, stop, paint, restore, read on a phone."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from app.metadata import read_png
from tests.app.serving import Served

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(
        not os.environ.get("LATENT_LAB_BROWSER_TESTS"),
        reason="not yet steady on two busy cores: set LATENT_LAB_BROWSER_TESTS=1 to run them",
    ),
]
STEPS = 200  # long enough on a fast machine to be seen running


def ask(page: Page, prompt: str, steps: int) -> None:
    page.fill("#prompt textarea", prompt)
    page.fill("#steps input[type=number]", str(steps))
    page.press("#steps input[type=number]", "Tab")


def wait_for_picture(page: Page) -> None:
    expect(page.locator(".line.done")).to_contain_text("Done in")
    expect(page.locator("#generate")).to_be_enabled()
    expect(page.locator("#stop")).to_be_disabled()


def download(page: Page, path: Path) -> Path:
    with page.expect_download() as caught:
        page.click("#download")
    caught.value.save_as(path)
    return path


def test_type_watch_and_get_a_picture_then_restore_it(page: Page, tmp_path: Path):
    ask(page, "a red apple, noto style", STEPS)
    expect(page.locator("#tokens")).to_contain_text(re.compile(r"\d+/\d+ tokens"))
    page.fill("#seed input", "7")
    page.press("#prompt textarea", "Enter")
    expect(page.locator("#generate")).to_be_disabled()
    expect(page.locator("#stop")).to_be_enabled()

    expect(page.locator("#download")).to_be_disabled()
    forming = page.locator(".frame.forming img")
    expect(forming).to_be_visible()
    first = forming.get_attribute("src")
    frame = page.locator(".frame").bounding_box()
    page.wait_for_function("(first) => document.querySelector('.frame img').src !== first", arg=first)
    wait_for_picture(page)
    assert page.locator(".frame").bounding_box() == frame, "the picture jumped"
    expect(page.locator("#facts")).to_contain_text(f"Seed 7 · 128×128 · {STEPS} steps")
    expect(page.locator("#history img")).to_have_count(1)

    file = download(page, tmp_path / "made.png")
    made, info = read_png(file)
    assert (made.prompt, made.steps, made.seed) == ("a red apple, noto style", STEPS, 7)
    assert re.fullmatch(r"[0-9a-f]{64}", info["weights_sha256"])

    ask(page, "something else", 3)
    page.fill("#seed input", "1")
    page.click("#restore > button")
    page.set_input_files("#png input[type=file]", file)
    expect(page.locator("#line")).to_contain_text("Settings restored")
    expect(page.locator("#prompt textarea")).to_have_value("a red apple, noto style")
    expect(page.locator("#steps input[type=number]")).to_have_value(str(STEPS))
    expect(page.locator("#seed input")).to_have_value("7")
    page.click("#generate")
    wait_for_picture(page)
    assert download(page, tmp_path / "again.png").read_bytes() == file.read_bytes(), "same settings, other bytes"


def test_stop_and_keys_and_reload(page: Page):
    page.focus("#prompt textarea")
    page.keyboard.type("one")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("two")
    expect(page.locator("#prompt textarea")).to_have_value("one\ntwo")
    ask(page, "a rocket", 1000)
    page.click("#generate")
    expect(page.locator("#line")).to_contain_text(re.compile(r"Step \d+/1000 · .* left"))
    page.reload()
    expect(page.locator("#line")).to_contain_text(re.compile(r"Step \d+/1000"))
    expect(page.locator("#prompt textarea")).to_have_value("a rocket")
    expect(page.locator("#stop")).to_be_enabled()
    page.keyboard.press("Escape")
    expect(page.locator("#line")).to_contain_text(re.compile(r"Stopped after step \d+ of 1000"))
    expect(page.locator("#generate")).to_be_enabled()
    expect(page.locator("#stop")).to_be_disabled()


def test_inpaint_on_the_page(page: Page, tmp_path: Path):
    """Paint over the left half of a picture: the right half keeps its pixels, the left changes."""
    import numpy as np
    from PIL import Image

    picture = tmp_path / "blue.png"
    Image.new("RGB", (512, 512), (40, 90, 200)).save(picture)
    page.click("#start > button")
    page.set_input_files("#canvas input[type=file]", picture)
    canvas = page.locator("#canvas canvas").first
    expect(canvas).to_be_visible()
    canvas.scroll_into_view_if_needed()
    page.wait_for_timeout(4000)  # the editor fits the picture in, and says nothing when it has
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
    changed = np.abs(result - (40, 90, 200)).max(axis=-1) > 30
    assert changed[:, :64].mean() > 0.05 and changed[:, 80:].mean() < 0.01


def test_faults_are_one_sentence(page: Page):
    page.click("#generate")
    expect(page.locator(".line.failed")).to_have_text(
        "No picture: Please type a prompt: a few words that say what to draw."
    )
    expect(page.locator("#generate")).to_be_enabled()
    ask(page, "word " * 60, 3)
    expect(page.locator("#tokens")).to_contain_text("not read: “")


def test_language_theme_and_scaling(page: Page):
    page.click("#language")
    expect(page.locator("#generate")).to_have_text("生成")
    expect(page.locator(".frame.empty")).to_contain_text("图像将在这里成形")
    assert "lang=zh" in page.url
    page.reload()
    expect(page.locator("#generate")).to_have_text("生成")
    page.click("#language")
    expect(page.locator("#generate")).to_have_text("Generate")
    dark = "document.body.classList.contains('dark')"
    before = page.evaluate(dark)
    page.click("#theme")
    assert page.evaluate(dark) is not before
    page.reload()
    page.wait_for_selector("#generate:enabled")
    assert page.evaluate(dark) is not before
    page.get_by_label("Pixels").check()
    assert page.evaluate("document.body.dataset.scaling") == "nearest"


def test_fits_a_phone(page: Page):
    page.set_viewport_size({"width": 390, "height": 844})
    page.click("#start > button")
    page.click("#restore > button")
    page.wait_for_timeout(500)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_a_lost_connection_is_said_and_found_again(page: Page):
    page.route("**/healthz", lambda route: route.abort())
    expect(page.locator("#connection.lost")).to_be_visible()
    page.unroute("**/healthz")
    expect(page.locator("#connection")).to_have_text("Connected again.")


def test_a_closed_tab_leaves_the_job_to_the_next(browser: Browser, served: Served, page: Page):
    """The first page starts a job and goes; a second page of the same browser finds it."""
    ask(page, "a tree", 1000)
    page.click("#generate")
    expect(page.locator("#stop")).to_be_enabled()
    second = page.context.new_page()
    page.close()
    second.goto(served.url)
    expect(second.locator("#line")).to_contain_text(re.compile(r"Step \d+/1000"))
    second.keyboard.press("Escape")
    expect(second.locator("#line")).to_contain_text("Stopped")
