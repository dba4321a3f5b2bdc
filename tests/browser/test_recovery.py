"""The page outlives its server: what was typed stays, and the header and one line say what happened."""

from __future__ import annotations

import contextlib
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import BrowserContext, Page, expect

from tests.app.serving import Served, free_port, serve
from tests.browser.driving import open_lab, set_number, unfold
from tests.browser.test_page import LONG, ask, put_on_canvas, wait_for_picture
from tests.tiny import tiny_checkpoint

pytestmark = pytest.mark.browser
AGAIN = 150  # steps of a run that is made twice
TOLD_SECONDS = 5.0  # in which an open page says that its server is gone


@contextlib.contextmanager
def server(folder: Path, port: int, *options: str) -> Iterator[Served]:
    with serve(folder, "--weights", str(folder / "tiny.safetensors"), "--runtime", "torch", *options, port=port) as s:
        s.wait("/readyz")
        yield s


def run(page: Page, steps: int) -> None:
    """A run that is under way on the page."""
    ask(page, "a lighthouse", steps)
    page.click("#generate")
    expect(page.locator("#line")).to_contain_text(re.compile(rf"Step \d+/{steps}"))


def end(server: Served, page: Page, sent: signal.Signals) -> None:
    """The server's; the open page tells of it in time."""
    server.process.send_signal(sent)
    ended = time.monotonic()
    expect(page.locator("#connection.lost")).to_be_visible()
    assert time.monotonic() - ended < TOLD_SECONDS + 3, "the person was not told in time"  # two busy cores
    expect(page.locator("#state")).to_contain_text("offline")
    expect(page.locator("#generate")).to_be_disabled()


@pytest.mark.slow
def test_a_run_and_the_server_s_next_processes(profile: BrowserContext, tmp_path: Path):
    """SIGTERM and kill -9 in mid-run: the page finds the job that the journal has and shows its pictures; without a
    journal it says that the run is lost.
    """
    tiny_checkpoint(tmp_path)
    data, port, page = ("--data-dir", str(tmp_path / "data")), free_port(), profile.new_page()
    line, pictures = page.locator("#line"), page.locator("#history .cell")
    with server(tmp_path, port, *data) as first:
        first.wait_for_page()
        page.goto(first.url)
        page.wait_for_selector("#generate:enabled")
        run(page, AGAIN)
        end(first, page, signal.SIGTERM)
        expect(line).to_have_text("The server is restarting; this picture goes on when it is back.")
    with server(tmp_path, port, *data) as second:
        wait_for_picture(page)
        expect(page.locator("#prompt textarea")).to_have_value("a lighthouse")
        expect(page.locator("#stage .frame img")).to_have_count(1)
        expect(pictures).to_have_count(1)
        run(page, AGAIN)
        end(second, page, signal.SIGKILL)
    with server(tmp_path, port, *data) as third:
        expect(pictures).to_have_count(2)
        wait_for_picture(page)
        expect(page.locator("#stage .frame img")).to_have_count(1)
        run(page, LONG)
        end(third, page, signal.SIGKILL)
    with server(tmp_path, port, "--output-dir", str(tmp_path / "out")):
        expect(line).to_contain_text("this run is lost")
        expect(page.locator("#state")).to_contain_text("ready")
        expect(page.locator("#prompt textarea")).to_have_value("a lighthouse")
        unfold(page)
        expect(page.locator("#steps input[type=number]")).to_have_value(str(LONG))
        ask(page, "a lighthouse", 2)
        page.click("#generate")
        wait_for_picture(page)
        expect(page.locator("body")).not_to_contain_text("Could not parse")
    page.close()


@pytest.mark.slow
def test_a_restart_behind_a_hidden_page_is_made_up_for(profile: BrowserContext, tmp_path: Path):
    """The page asks for its server only while it is seen: all it knows is that the run goes on elsewhere."""
    tiny_checkpoint(tmp_path)
    data, port, page = ("--data-dir", str(tmp_path / "data")), free_port(), profile.new_page()
    hidden = "(value) => Object.defineProperty(document, 'hidden', { value, configurable: true })"
    with server(tmp_path, port, *data) as first:
        first.wait_for_page()
        page.goto(first.url)
        page.wait_for_selector("#generate:enabled")
        run(page, AGAIN)
        page.evaluate(hidden, True)
        first.process.send_signal(signal.SIGTERM)
        expect(page.locator("#line .again")).to_be_visible()
    with server(tmp_path, port, *data) as second:
        second.wait_for_page()
        page.evaluate("window.stayed = true")
        page.evaluate(hidden, False)
        wait_for_picture(page)
        assert page.evaluate("window.stayed")
        expect(page.locator("#connection")).to_have_count(0)
    page.close()


@pytest.mark.slow
def test_an_idle_tab_keeps_its_pictures_when_its_server_comes_back(profile: BrowserContext, tmp_path: Path):
    """Nothing reloads that page, but the next process knows nothing of its session."""
    tiny_checkpoint(tmp_path)
    data, port, page = ("--data-dir", str(tmp_path / "data")), free_port(), profile.new_page()
    pictures = page.locator("#history .cell")
    with server(tmp_path, port, *data) as first:
        first.wait_for_page()
        page.goto(first.url)
        page.wait_for_selector("#generate:enabled")
        ask(page, "a lighthouse", 2, pictures=2)
        page.click("#generate")
        expect(pictures).to_have_count(2)
        wait_for_picture(page)
        page.evaluate("window.stayed = true")
        first.process.send_signal(signal.SIGTERM)
        expect(page.locator("#connection.lost")).to_be_visible()
    with server(tmp_path, port, *data):
        expect(page.locator("#state")).to_contain_text("ready")
        page.click("#generate")
        expect(pictures).to_have_count(4)
        wait_for_picture(page)
        assert page.evaluate("JSON.parse(sessionStorage.getItem('latent-lab-pictures')).all.length") == 4
        assert page.evaluate("window.stayed"), "it was loaded again, which tells nothing of an idle tab"
    page.close()


def test_the_tab_s_pictures_outlive_a_reload(page: Page):
    ask(page, "a rocket", 2, pictures=2)
    page.click("#generate")
    wait_for_picture(page)
    page.fill("#prompt textarea", "a tree")
    page.click("#generate")
    expect(page.locator("#history .cell")).to_have_count(4)
    wait_for_picture(page)
    shown = "(all) => all.map((cell) => [cell.dataset.file, cell.dataset.facts, cell.dataset.settings])"
    parts = [page.locator(f"{part} .cell") for part in ("#history", "#stage")]
    before = [part.evaluate_all(shown) for part in parts]
    facts = page.locator("#facts").inner_text()
    page.evaluate("sessionStorage.setItem('latent-lab-job', '')")  # as where the server has forgotten the run
    page.reload()
    expect(parts[0]).to_have_count(4)
    expect(parts[1]).to_have_count(2)
    assert [part.evaluate_all(shown) for part in parts] == before
    expect(page.locator("#facts")).to_have_text(facts)
    expect(page.locator("#download")).to_be_enabled()


def test_a_reload_keeps_lists_and_labs_and_tells_of_a_start_picture(page: Page, tmp_path: Path):
    Image.new("RGB", (32, 32), (200, 30, 30)).save(tmp_path / "start.png")
    page.click("#many > button")
    page.fill("#many-lines textarea", "a tree\na house")
    put_on_canvas(page, tmp_path / "start.png")
    page.wait_for_function("sessionStorage.getItem('latent-lab-start') === 'yes'")
    page.wait_for_function("sessionStorage.getItem('latent-lab-many') === 'a tree\\na house'")
    page.reload()
    expect(page.locator("#connection.start_again")).to_be_visible()
    put_on_canvas(page, tmp_path / "start.png")
    expect(page.locator("#connection")).to_have_count(0)
    page.click("#start > button")  # folded away, the canvas no longer draws itself sixty times a second
    page.click("#many > button")
    expect(page.locator("#many-lines textarea")).to_have_value("a tree\na house")
    open_lab(page, "schedules")
    set_number(page, "curves-T", 64)
    page.wait_for_function("JSON.parse(JSON.parse(sessionStorage.getItem('latent-lab-labs')).schedules).T === 64")
    page.reload()
    expect(page.locator("#curves-T input")).to_have_value("64")
    expect(page.locator("#connection.start_again")).to_be_visible()
    page.goto(page.url.replace("schedules", "losses"))
    open_lab(page, "schedules")
    page.wait_for_url("**/?lab=schedules")
    page.reload()
    expect(page.locator("#panel-curves .caption").first).to_contain_text("t =")  # what was kept is there by now
    expect(page.locator("#curves-T input")).to_have_value("1000")
    page.wait_for_selector("#advanced > button[data-summary]", state="attached")
    expect(page.locator("#connection")).to_have_count(0)


def test_generate_pressed_offline_is_not_answered_with_the_last_run(page: Page):
    ask(page, "a rocket", 2)
    page.click("#generate")
    wait_for_picture(page)
    page.context.set_offline(True)
    page.click("#generate")
    expect(page.locator("#connection.lost")).to_be_visible()
    page.context.set_offline(False)
    expect(page.locator("#line .failed")).to_contain_text("The connection was lost before the run began")
    expect(page.locator("#generate")).to_be_enabled()
    page.click("#generate")
    wait_for_picture(page)
    expect(page.locator("#history .cell")).to_have_count(2)


def test_the_header_follows_the_server_without_a_run(page: Page):
    """A faster runtime takes over, the connection is lost and found: each is said within seconds."""
    page.route("**/state?*", lambda route: route.fulfill(json={"phase": "ready", "text": "tiny · quick · ready"}))
    expect(page.locator("#state .state.ready")).to_have_text("tiny · quick · ready")
    page.route("**/healthz", lambda route: route.abort())
    expect(page.locator("#state .state.failed")).to_have_text("offline")
    page.unroute("**/healthz")
    expect(page.locator("#state .state.ready")).to_have_text("tiny · quick · ready")
    page.unroute("**/state?*")
    expect(page.locator("#state")).to_contain_text("tiny · CPU fp32")


# What Firefox does where a site may keep nothing, and what Safari lacks before 17.4 and 16.
BLOCKED = """
const refuse = () => { throw new DOMException("The operation is insecure.", "SecurityError"); };
for (const name of ["localStorage", "sessionStorage"]) Object.defineProperty(window, name, { get: refuse });
window.BroadcastChannel = class { constructor() { refuse(); } };
delete Element.prototype.checkVisibility;
delete AbortSignal.timeout;
"""


def test_a_browser_that_keeps_nothing_and_lacks_something_makes_pictures(page: Page, served: Served):
    other = page.context.new_page()
    other.add_init_script(BLOCKED)
    other.goto(served.url)
    other.wait_for_selector("#generate:enabled")
    ask(other, "a tree", 2)
    other.click("#generate")
    wait_for_picture(other)
    expect(other.locator("#connection")).to_have_count(0)
    open_lab(other, "schedules")
    other.wait_for_url("**/?lab=schedules")
    other.close()


def test_a_run_whose_end_was_told_too_early_wakes_the_buttons_at_its_end(page: Page):
    ask(page, "a rocket", LONG)
    page.click("#generate")
    expect(page.locator("#line")).to_contain_text("Step")
    page.evaluate("sessionStorage.setItem('latent-lab-running', '')")  # as where the stream broke
    page.reload()
    expect(page.locator("#line")).to_contain_text("Step")
    expect(page.locator("#stop")).to_be_enabled()
    page.keyboard.press("Escape")
    expect(page.locator("#line")).to_contain_text("Stopped")
    expect(page.locator("#generate")).to_be_enabled()
    expect(page.locator("#stop")).to_be_disabled()
