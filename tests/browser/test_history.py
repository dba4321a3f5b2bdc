"""The History tab: one's own pictures found again, kept, gone on from, deleted and taken home."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from app.metadata import read_png
from tests.app.serving import Served, serve
from tests.browser import axe
from tests.browser.conftest import TIMEOUT
from tests.browser.driving import choose, unfold
from tests.browser.test_page import LONG, ask
from tests.tiny import tiny_checkpoint

pytestmark = pytest.mark.browser


@contextmanager
def visitor(browser: Browser, served: Served, path: str = "/") -> Iterator[Page]:
    """Somebody with cookies of their own."""
    context = browser.new_context(viewport={"width": 1280, "height": 1000}, accept_downloads=True)
    context.set_default_timeout(TIMEOUT)
    page = context.new_page()
    page.goto(served.url + path)
    page.wait_for_selector("#generate:enabled")
    yield page
    context.close()


def make(page: Page, prompt: str, seed: int, pictures: int = 1) -> None:
    page.fill("#prompt textarea", prompt)
    unfold(page)
    choose(page, "batch", str(pictures))
    page.fill("#steps input[type=number]", "2")
    page.fill("#seed input", str(seed))
    page.click("#generate")
    expect(page.locator(".line.done")).to_contain_text("Done in")
    expect(page.locator("#generate")).to_be_enabled()
    expect(page.locator("#facts")).to_contain_text(f"Seed {seed}")


def open_history(page: Page) -> None:
    page.get_by_role("tab", name="History", exact=True).click()


def test_found_again_kept_deleted_and_taken_home(browser: Browser, served: Served, tmp_path: Path):
    with visitor(browser, served) as page:
        open_history(page)
        expect(page.locator("#gallery")).to_contain_text("Whatever you make on the Generate tab gathers here")
        page.get_by_role("tab", name="Generate", exact=True).click()
        make(page, "a red apple", 11, pictures=2)
        make(page, "a blue cat", 5)
        page.reload()  # the session is another one; the visitor is not
        page.wait_for_selector("#generate:enabled")
        open_history(page)
        cells = page.locator("#gallery .cell")
        expect(cells).to_have_count(3)
        expect(cells.first.locator("img")).to_have_js_property("naturalWidth", 32)

        page.fill("#history-search input", "APPLE")
        expect(cells).to_have_count(2)
        cells.nth(0).click()
        viewer = page.locator("#viewer")
        expect(viewer.locator(".facts")).to_contain_text(re.compile(r"Seed 11 · 32×32 · Steps 2 · tiny · .*\d"))
        viewer.locator("[data-way=favourite]").click()
        expect(viewer.locator("[data-way=unfavourite]")).to_be_visible()
        page.keyboard.press("Escape")
        page.fill("#history-search input", "")
        page.get_by_label("Favourites only").check()
        expect(cells).to_have_count(1)
        expect(cells.first).to_have_attribute("data-favourite", "true")
        page.get_by_label("Favourites only").uncheck()
        expect(cells).to_have_count(3)

        cells.nth(0).click()  # the newest, the cat
        viewer.locator("[data-way=delete]").click()
        expect(cells).to_have_count(3)
        viewer.locator("[data-way=delete_sure]").click()
        expect(cells).to_have_count(2)
        page.keyboard.press("Escape")
        with page.expect_download() as caught:
            page.get_by_text("Download them all").click()
        caught.value.save_as(tmp_path / "all.zip")
        with zipfile.ZipFile(tmp_path / "all.zip") as archive:
            made = []
            for name in archive.namelist():
                (tmp_path / name).write_bytes(archive.read(name))
                made.append(read_png(tmp_path / name)[0])
        assert [(request.prompt, request.seed) for request in made] == [("a red apple", 11), ("a red apple", 12)]


def test_a_favourite_that_has_no_room_is_refused_in_the_large_view(browser: Browser, tmp_path: Path):
    options = ("--weights", str(tiny_checkpoint(tmp_path)), "--max-side", "64", "--data-dir", str(tmp_path / "data"))
    with serve(tmp_path, *options, "--client-history-bytes", "1") as served:
        served.wait_for_page()
        with visitor(browser, served) as page:
            make(page, "a red apple", 11)
            page.locator("#history .cell").first.click()
            viewer = page.locator("#viewer")
            viewer.locator("[data-way=favourite]").click()
            expect(viewer.locator(".facts")).to_contain_text("Your favourites fill your part of the history")
            expect(viewer.locator("[data-way=favourite]")).to_be_visible()
            expect(page.locator("#line .failed")).to_contain_text("Your favourites fill your part of the history")
            page.keyboard.press("Escape")
            expect(page.locator("#history .cell").first).to_have_attribute("data-favourite", "false")
            page.locator("#facts .heart").dblclick()  # two requests; the large view is closed
            expect(page.locator("#facts .heart")).to_have_attribute("aria-pressed", "false")
            expect(page.locator("#facts .facts")).to_contain_text("Seed 11")


def test_two_people_at_once_see_their_own(browser: Browser, served: Served):
    """Jobs, previews, pictures and history; the other's are not to be had by their addresses either."""
    with visitor(browser, served) as one, visitor(browser, served) as other:
        people = [(one, "a red apple", 21), (other, "a blue cat", 22)]
        for page, prompt, _ in people:
            ask(page, prompt, LONG)
            page.click("#generate")
        jobs = []
        for page, prompt, _ in people:  # both are under way
            forming = page.locator("#stage .forming img")
            expect(forming).to_have_attribute("alt", re.compile(prompt))
            [running] = page.request.get(f"{served.url}/v1/jobs").json()
            assert (running["status"], running["request"]["prompt"]) == ("running", prompt)
            assert running["id"] == page.evaluate("sessionStorage.getItem('latent-lab-job')")
            jobs.append(f"{served.url}/v1/jobs/{running['id']}")
        for page, theirs in zip((one, other), reversed(jobs), strict=True):
            asked = [page.request.get(theirs), page.request.get(f"{theirs}/events"), page.request.delete(theirs)]
            assert [answer.status for answer in asked] == [404] * 3
        one.click("#stop")
        expect(one.locator("#line")).to_contain_text("Stopped")
        expect(other.locator("#line")).to_contain_text(re.compile(rf"Step \d+/{LONG}"))
        other.click("#stop")
        expect(other.locator("#line")).to_contain_text("Stopped")

        open_history(other)
        expect(other.locator("#gallery")).to_contain_text("Whatever you make on the Generate tab gathers here")
        other.get_by_role("tab", name="Generate", exact=True).click()
        names = []
        for page, prompt, seed in people:
            make(page, prompt, seed)
            open_history(page)
            cell = page.locator("#gallery .cell")
            expect(cell).to_have_count(1)
            expect(cell.locator("img")).to_have_attribute("alt", re.compile(prompt))
            names.append(cell.get_attribute("data-file"))
            with zipfile.ZipFile(io.BytesIO(page.request.get(f"{served.url}/pictures.zip").body())) as archive:
                assert archive.namelist() == names[-1:]
        folder = served.log.parent / "data" / "pictures"
        for page, mine, theirs in ((one, *names), (other, *reversed(names))):
            status = [page.request.get(f"{served.url}/gradio_api/file={folder}/{n}").status for n in (mine, theirs)]
            assert status == [200, 404]


def test_the_ways_onward_lead_to_the_form(browser: Browser, served: Served):
    with visitor(browser, served) as page:
        make(page, "a rocket", 9)
        page.fill("#prompt textarea", "something else")
        open_history(page)
        page.locator("#gallery .cell").click()
        page.locator("[data-way=use_settings]").click()
        expect(page.locator("#prompt textarea")).to_be_visible()
        expect(page.locator("#prompt textarea")).to_have_value("a rocket")
        expect(page.locator("#seed input")).to_have_value("9")
        open_history(page)
        page.locator("#gallery .cell").click()
        page.locator("[data-way=go_on_from]").click()
        expect(page.locator("#canvas canvas").first).to_be_visible()
        expect(page.locator("#line")).to_contain_text("The picture is on the canvas")


def test_on_a_phone_in_chinese(browser: Browser, served: Served):
    with visitor(browser, served, "/?lang=zh") as page:
        page.set_viewport_size({"width": 390, "height": 844})
        page.select_option("#tab-menu", "历史")
        expect(page.locator("#gallery")).to_contain_text("还没有图像")
        assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_nothing_serious_keeps_anybody_out(page: Page, rules: str):
    make(page, "a tree", 3)
    open_history(page)
    expect(page.locator("#gallery .cell").first).to_be_visible()
    assert axe.findings(page, rules) == []
