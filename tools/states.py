"""Contact sheets of the page's named states: `python -m tools.states [--out DIR]`.

Every state at 1280 pixels in light English; `MANY_WAYS` also in dark, in Chinese, on a tablet and on a phone.
"""

from __future__ import annotations

import argparse
import io
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont
from playwright.sync_api import Page, expect, sync_playwright

from ldm_core.shipped import EMOJI_128
from scripts import chromium
from tests.app.serving import serve
from tests.browser.conftest import FLAGS, TIMEOUT
from tools.screenshots import DESKTOP, LABS, PHONE

TABLET = {"width": 768, "height": 1024}
WIDTH, LABEL, GAP, COLUMNS = 400, 22, 10, 6  # pixels of a picture, of its name, between them; pictures in a row
SETTLED = 700  # milliseconds
PASTED = "a castle\nSteps: 20, Sampler: Euler a, CFG scale: 7, Seed: 77, Size: 128x128"


def _write(page: Page, prompt: str) -> None:
    page.fill("#prompt textarea", prompt)
    page.wait_for_timeout(SETTLED)


def _make(page: Page, prompt: str = "a blue cat next to a red star") -> None:
    _write(page, prompt)
    page.click("#generate")
    expect(page.locator("#generate")).to_be_disabled()
    expect(page.locator("#generate")).to_be_enabled()


def _running(page: Page) -> None:
    _fields(page, steps=400)
    page.click("#generate")
    page.wait_for_function("Number(document.querySelector('[role=progressbar]')?.ariaValueNow) > 20")


def _stopped(page: Page) -> None:
    page.click("#stop")
    expect(page.locator("#generate")).to_be_enabled()


def _fields(page: Page, **values: object) -> None:
    if not page.locator("#steps").is_visible():
        page.click("#advanced > button")
    for name, value in values.items():
        page.fill(f"#{name} input >> nth=0", str(value))
        page.press(f"#{name} input >> nth=0", "Tab")
    page.click("#advanced > button")


def _large(page: Page) -> None:
    page.click(".frame .cell >> nth=1")
    page.wait_for_timeout(SETTLED)


def _refused(page: Page) -> None:
    _fields(page, seed=99999999999)
    page.click("#generate")
    expect(page.locator(".fault-text")).to_be_visible()


def _sampler(page: Page) -> None:
    _fields(page, seed="")
    page.click("#advanced > button")
    page.click("#sampler input")
    page.get_by_role("option", name="unipc", exact=True).click()
    page.wait_for_timeout(SETTLED)


def _many(page: Page) -> None:
    page.click("#many > button")
    page.fill("#many-lines textarea", "a red apple\na blue apple\na green apple")
    page.click("#many-start")
    expect(page.locator("#many-sheet img")).to_be_visible()
    page.locator("#many").scroll_into_view_if_needed()


def _live(page: Page) -> None:
    page.reload()
    page.wait_for_selector("#generate:enabled")
    page.wait_for_selector("body.live-offered")
    page.click("#live-switch")
    _write(page, "a purple rocket ")
    expect(page.locator("#live img")).to_be_visible()


def _lost(page: Page) -> None:
    page.click("#live-switch")
    page.route("**/healthz", lambda route: route.abort())
    expect(page.locator("#connection.lost")).to_be_visible()


def _lab(key: str) -> Callable[[Page], None]:
    def go(page: Page) -> None:
        page.unroute("**/healthz")
        page.goto(page.url.split("?")[0] + f"?lab={key}")
        page.locator(LABS[key]).first.wait_for()
        page.wait_for_timeout(2 * SETTLED)

    return go


STATES: dict[str, Callable[[Page], None]] = {  # each begins where the one before has ended
    "empty": lambda page: None,
    "words": lambda page: _write(page, "a blue cat next to a zeppelin"),
    "emoji": lambda page: _write(page, "🍎 一只猫"),
    "chips": lambda page: (_write(page, "a rocket"), page.click(".chips summary >> nth=1"))[0],
    "running": _running,
    "stopped": _stopped,
    "done": lambda page: (_fields(page, steps=25), _make(page))[1],
    "large": _large,
    "compare": lambda page: page.click("[data-way=compare]"),
    "facts kept": lambda page: page.keyboard.press("Escape"),
    "shortcuts": lambda page: page.click("#help"),
    "advanced": lambda page: (page.keyboard.press("Escape"), page.click("#advanced > button"))[1],
    "refused": lambda page: (page.click("#advanced > button"), _refused(page))[1],
    "sampler": lambda page: (page.click("#advanced > button"), _sampler(page))[1],
    "start picture": lambda page: (page.click("#advanced > button"), page.click("#start > button"))[1],
    "many prompts": lambda page: (page.click("#start > button"), _many(page))[1],
    "pasted": lambda page: (page.click("#many > button"), _write(page, PASTED))[1],
    "surprise": lambda page: (page.click("#surprise"), page.wait_for_timeout(SETTLED))[1],
    "live": _live,
    "lost": _lost,
    **{key: _lab(key) for key in LABS},
}
MANY_WAYS = ("empty", "done", "large", "advanced", "live", "overview", "denoising", "attention")


@dataclass
class Sheet:
    """Named pictures that become one."""

    shots: list[tuple[str, Image.Image]] = field(default_factory=list)

    def add(self, name: str, page: Page) -> None:
        """Photograph what the page shows."""
        page.wait_for_timeout(SETTLED)
        shot = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
        scale = WIDTH / 1280 if shot.width > 500 else 0.5  # a phone's letters stay readable
        self.shots.append((name, shot.resize((round(shot.width * scale), round(shot.height * scale)))))

    def save(self, path: Path) -> None:
        """All of them, in rows."""
        rows = [self.shots[k : k + COLUMNS] for k in range(0, len(self.shots), COLUMNS)]
        heights = [LABEL + GAP + max(shot.height for _, shot in row) for row in rows]
        sheet = Image.new("RGB", (GAP + COLUMNS * (WIDTH + GAP), GAP + sum(heights)), "#d6d3d1")
        pen, font, top = ImageDraw.Draw(sheet), ImageFont.load_default(15), GAP
        for row, height in zip(rows, heights, strict=True):
            for c, (name, shot) in enumerate(row):
                left = GAP + c * (WIDTH + GAP)
                pen.text((left, top), name, "#1c1917", font)
                sheet.paste(shot, (left, top + LABEL))
            top += height
        sheet.save(path, quality=78)


def photograph(page: Page, url: str, states: Sheet, ways: Sheet) -> None:
    """Go through the states; those of MANY_WAYS are looked at in every way before the next."""
    page.goto(url)
    page.wait_for_selector("#generate:enabled")
    page.wait_for_selector("body.live-offered")
    for name, go in STATES.items():
        try:
            go(page)
            states.add(name, page)
            if name in MANY_WAYS:
                every_way(page, name, ways)
        except Exception as error:  # the other states are still worth seeing
            sys.stderr.write(f"{name}: {str(error).splitlines()[0]}\n")


def every_way(page: Page, name: str, ways: Sheet) -> None:
    """Dark, Chinese, tablet and phone; then as before."""
    theme, language = "window.latentLab.switchTheme()", "document.querySelector('#language').click()"
    for way, change in (("dark", theme), ("Chinese", language)):
        page.evaluate(change)
        page.wait_for_timeout(2 * SETTLED)
        ways.add(f"{name}, {way}", page)
        page.evaluate(change)
    for way, size in (("768", TABLET), ("390", PHONE), ("", DESKTOP)):
        page.set_viewport_size(size)  # type: ignore[arg-type]
        if way:
            ways.add(f"{name}, {way}", page)
    page.wait_for_timeout(SETTLED)


def main(argv: list[str] | None = None) -> int:
    """Returns the exit status: 1 where there is no browser."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--out", type=Path, default=Path("docs/screenshots"))
    args = parser.parse_args(argv)
    executable = chromium.find()
    if executable is None:
        sys.stderr.write(f"{chromium.MISSING}\n")
        return 1
    expect.set_options(timeout=TIMEOUT)
    args.out.mkdir(parents=True, exist_ok=True)
    states, ways = Sheet(), Sheet()
    with tempfile.TemporaryDirectory() as folder:
        options = ("--weights", str(EMOJI_128), "--output-dir", folder)
        with serve(Path(folder), *options) as server, sync_playwright() as playwright:
            server.wait("/readyz")
            server.wait_for_page()
            browser = playwright.chromium.launch(executable_path=executable, args=FLAGS)
            page = browser.new_page(viewport=DESKTOP)  # type: ignore[arg-type]
            page.set_default_timeout(TIMEOUT / 4)
            photograph(page, server.url, states, ways)
            browser.close()
    states.save(args.out / "states.jpg")
    ways.save(args.out / "states-many-ways.jpg")
    return 0


if __name__ == "__main__":
    sys.exit(main())
