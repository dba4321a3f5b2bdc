"""Photographs the real page for the documentation: `python -m tools.screenshots [--out DIR] [--labs LAB …]`.

Starts the program, drives it with Chromium and writes generate.png (light), generate-dark.png, generate-running.png,
generate-phone.png and lab-<tab>.png of every lab.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from playwright.sync_api import Browser, Page, expect, sync_playwright

from ldm_core.shipped import EMOJI_128
from scripts import chromium
from tests.app.serving import serve
from tests.browser.conftest import FLAGS, TIMEOUT

PROMPTS = ("grinning face, 3d style", "rocket", "a red apple, noto style")
LABS = {  # tab: what is there once it is drawn
    "overview": "#overview-shown .stage",
    "schedules": "#panel-respaced .main-svg",
    "denoising": "#panel-scrub .main-svg",
    "attention": "#heat-shown img",
    "autoencoder": "#latent-channels img",
    "lower_bound": "#panel-weights .main-svg",
    "losses": "#panel-history .main-svg",
    "architecture": "#blocks-table td",
    "xy_plot": "#sheet-shown img[data-filled='8']",
}
TALL = {"denoising": 1700, "attention": 1500, "architecture": 1400}  # the panel of interest is not the first
DESKTOP, PHONE = {"width": 1280, "height": 940}, {"width": 390, "height": 844}


def main(argv: list[str] | None = None) -> int:
    """Returns the exit status: 1 where there is no browser or no weights."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--weights", type=Path, default=EMOJI_128)
    parser.add_argument("--out", type=Path, default=Path("docs/screenshots"))
    parser.add_argument("--labs", nargs="+", choices=LABS, metavar="LAB", help="only these labs")
    args = parser.parse_args(argv)
    executable = chromium.find()
    if executable is None or not args.weights.is_file():
        sys.stderr.write(f"{chromium.MISSING}\n" if executable is None else f"{args.weights} is not there.\n")
        return 1
    args.out.mkdir(parents=True, exist_ok=True)
    expect.set_options(timeout=TIMEOUT)
    with tempfile.TemporaryDirectory() as folder, serve(Path(folder), "--weights", str(args.weights)) as server:
        server.wait("/readyz")
        server.wait_for_page()
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=executable, args=FLAGS)
            photograph(browser, server.url, args.out, args.labs)
            browser.close()
    return 0


def photograph(browser: Browser, url: str, out: Path, labs: Sequence[str] | None = None) -> None:
    """Every picture of the documentation, in one visit to the page; or those of some labs."""
    page = browser.new_page(viewport=DESKTOP)
    page.set_default_timeout(TIMEOUT)
    if labs is None:
        photograph_generate(page, url, out)
    for key in labs or LABS:
        photograph_lab(page, url, key, out)
    page.close()


def photograph_generate(page: Page, url: str, out: Path) -> None:
    """The Generate tab: done, dark, on a phone, running."""
    page.goto(url)
    page.wait_for_selector("#generate:enabled")
    for prompt in PROMPTS:
        draw(page, prompt, steps=25)
    shoot(page, out / "generate.png")
    page.click("#theme")
    shoot(page, out / "generate-dark.png")
    page.click("#theme")
    page.set_viewport_size(PHONE)
    shoot(page, out / "generate-phone.png")
    page.set_viewport_size(DESKTOP)
    start(page, PROMPTS[0], steps=200)
    page.wait_for_function("Number(document.querySelector('[role=progressbar]')?.ariaValueNow) > 50")
    shoot(page, out / "generate-running.png")
    page.click("#stop")
    expect(page.locator("#generate")).to_be_enabled()


def photograph_lab(page: Page, url: str, key: str, out: Path) -> None:
    """One lab as it opens."""
    page.set_viewport_size({**DESKTOP, "height": TALL.get(key, DESKTOP["height"])})
    page.goto(f"{url}?lab={key}")
    page.locator(LABS[key]).first.wait_for()
    page.wait_for_timeout(1500)
    shoot(page, out / f"lab-{key}.png")
    page.set_viewport_size(DESKTOP)


def start(page: Page, prompt: str, steps: int) -> None:
    """Press Generate."""
    page.fill("#prompt textarea", prompt)
    page.click("#advanced > button")
    page.fill("#seed input", "7")
    page.fill("#steps input[type=number]", str(steps))
    page.press("#steps input[type=number]", "Tab")
    page.click("#advanced > button")  # folded again, as a visitor sees it
    page.click("#generate")


def draw(page: Page, prompt: str, steps: int) -> None:
    """Press Generate and wait for the picture."""
    start(page, prompt, steps)
    expect(page.locator("#generate")).to_be_disabled()
    expect(page.locator(".line.done")).to_be_visible()
    expect(page.locator("#generate")).to_be_enabled()


def shoot(page: Page, path: Path) -> None:
    """One picture, after the colours have settled and without a cursor in a field."""
    page.evaluate("document.activeElement?.blur(); scrollTo(0, 0)")
    page.wait_for_timeout(600)
    page.screenshot(path=path)


if __name__ == "__main__":
    sys.exit(main())
