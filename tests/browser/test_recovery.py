"""The page outlives its server: what was typed stays, and the header and one line say what happened."""

from __future__ import annotations

import re
import signal
import time
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.app.serving import Served, free_port, serve
from tests.browser.driving import unfold
from tests.browser.test_page import LONG, ask, wait_for_picture
from tests.tiny import tiny_checkpoint

pytestmark = pytest.mark.browser
AGAIN = 250  # steps of a run that is made twice
TOLD_SECONDS = 5.0  # in which an open page says that its server is gone


def run_on(server: Served, page: Page, steps: int) -> None:
    """A run that is under way on the page."""
    server.wait("/readyz")
    server.wait_for_page()
    page.goto(server.url)
    page.wait_for_selector("#generate:enabled")
    ask(page, "a lighthouse", steps)
    page.click("#generate")
    expect(page.locator("#line")).to_contain_text(re.compile(rf"Step \d+/{steps}"))


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGTERM])
def test_a_journaled_run_is_found_again(profile: BrowserContext, tmp_path: Path, sent: signal.Signals):
    """In mid-run: the page finds the job that runs again, and shows its pictures. An orderly end is told as one."""
    options = ("--weights", str(tiny_checkpoint(tmp_path)), "--runtime", "torch", "--data-dir", str(tmp_path / "data"))
    page, port = profile.new_page(), free_port()
    with serve(tmp_path, *options, port=port) as server:
        run_on(server, page, AGAIN)
        server.process.send_signal(sent)
        expect(page.locator("#connection.lost")).to_be_visible()
        line = page.locator("#line").inner_text()
        assert ("this picture goes on when it is back" in line) == (sent == signal.SIGTERM), line
        expect(page.locator("#generate")).to_be_disabled()
    with serve(tmp_path, *options, port=port) as server:
        server.wait("/readyz")
        wait_for_picture(page)
        expect(page.locator("#prompt textarea")).to_have_value("a lighthouse")
        expect(page.locator("#stage .frame img")).to_have_count(1)
    page.close()


def test_a_server_started_again_in_mid_run(profile: BrowserContext, tmp_path: Path):
    weights, port = str(tiny_checkpoint(tmp_path)), free_port()
    options = ("--weights", weights, "--runtime", "torch", "--output-dir", str(tmp_path / "out"))
    page = profile.new_page()
    with serve(tmp_path, *options, port=port) as server:
        run_on(server, page, LONG)
        server.process.kill()
        killed = time.monotonic()
        expect(page.locator("#connection.lost")).to_be_visible()
        assert time.monotonic() - killed < TOLD_SECONDS + 3, "the person was not told in time"  # two busy cores
        expect(page.locator("#state")).to_contain_text("offline")
    with serve(tmp_path, *options, port=port) as server:
        server.wait("/readyz")
        line = page.locator("#line")
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
