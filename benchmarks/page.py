"""How soon the page is there and how calm it is, beside an empty page of the same Gradio: `python benchmarks/page.py`.

Cold is a browser without cache, warm the same browser's second visit; each figure is the median of `--runs` visits.
Usable is when Generate can be pressed (on the empty page: when its one button is there); the model is loaded before.
Long tasks are those of more than 50 ms that hold up the page's only thread. Wants a quiet machine.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright  # noqa: E402

from scripts import chromium  # noqa: E402
from tests.app.serving import free_port, serve  # noqa: E402
from tests.browser.conftest import FLAGS, TIMEOUT  # noqa: E402
from tools.screenshots import LABS  # noqa: E402

EMPTY = """import gradio as gr
with gr.Blocks() as page:
    gr.Button("Generate", elem_id="generate")
page.launch(server_name="127.0.0.1", server_port={port}, quiet=True)"""
WATCH = """() => {
  window.seen = { shift: 0, tasks: [], usable: null, keys: [] };
  const watch = (type, note, more = {}) => new PerformanceObserver((list) => list.getEntries().forEach(note))
    .observe({ type, buffered: true, ...more });
  watch("layout-shift", (entry) => { if (!entry.hadRecentInput) window.seen.shift += entry.value; });
  watch("longtask", (entry) => window.seen.tasks.push([entry.startTime, entry.duration]));
  watch("event", (entry) => { if (entry.name === "keydown") window.seen.keys.push(entry.duration); },
    { durationThreshold: 16 });
  const timer = setInterval(() => {
    const button = document.getElementById("generate");
    if (!button || button.disabled) return;
    window.seen.usable = performance.now();
    clearInterval(timer);
  }, 10);
}"""
READ = """() => {
  const all = [...performance.getEntriesByType("navigation"), ...performance.getEntriesByType("resource")];
  return {
    paint: performance.getEntriesByName("first-contentful-paint")[0].startTime, usable: window.seen.usable,
    bytes: all.reduce((sum, entry) => sum + entry.transferSize, 0), shift: window.seen.shift,
    task: Math.max(0, ...window.seen.tasks.map(([, duration]) => duration)),
  };
}"""
SETTLED = 2500  # milliseconds after the page is usable, in which it may still shift
PARTS = ("visits", "labs", "typing")
WORDS = "a red apple next to a blue star on a yellow background "


@dataclass(frozen=True)
class Visit:
    """Milliseconds of first paint, until usable and of the longest task; bytes fetched; cumulative layout shift."""

    paint: float
    usable: float
    bytes: float
    shift: float
    task: float

    def line(self) -> str:
        return (
            f"first paint {self.paint:.0f} ms | usable {self.usable:.0f} ms | {self.bytes / 1e6:.2f} MB | "
            f"longest task {self.task:.0f} ms | layout shift {self.shift:.3f}"
        )


def visit(page: Page, url: str) -> Visit:
    """One visit, watched from its first moment."""
    page.goto(url)
    page.wait_for_function("window.seen.usable")
    page.wait_for_timeout(SETTLED)
    return Visit(**page.evaluate(READ))


def visits(browser: Browser, url: str, runs: int) -> dict[str, Visit]:
    """cold and warm, the medians of as many visits."""
    seen: dict[str, list[Visit]] = {"cold": [], "warm": []}
    for _ in range(runs):
        context = browser.new_context(viewport={"width": 1280, "height": 940})
        context.set_default_timeout(TIMEOUT)
        context.add_init_script(f"({WATCH})()")
        for kind in seen:
            page = context.new_page()
            seen[kind].append(visit(page, url))
            page.close()
        context.close()
    return {kind: _median(made) for kind, made in seen.items()}


def _median(made: list[Visit]) -> Visit:
    return Visit(**{name: median(asdict(one)[name] for one in made) for name in asdict(made[0])})


def labs(context: BrowserContext, url: str) -> Iterator[tuple[str, float]]:
    """(lab, milliseconds of the longest task from the click to the drawn lab), each opened once before."""
    page = context.new_page()
    page.goto(url)
    page.wait_for_function("window.seen.usable")
    for key, drawn in LABS.items():
        page.evaluate("window.seen.tasks.length = 0")
        page.get_by_role("tab").nth(list(LABS).index(key) + _first_lab(page)).click()
        page.locator(drawn).first.wait_for()
        page.wait_for_timeout(1000)
        yield key, page.evaluate("Math.max(0, ...window.seen.tasks.map(([, duration]) => duration))")
    page.close()


def _first_lab(page: Page) -> int:
    """How many tabs stand before the labs."""
    names = page.get_by_role("tab").all_inner_texts()
    return names.index("Overview")


def typing(context: BrowserContext, url: str, live: bool) -> float:
    """The 95th percentile of a key's milliseconds until it is on the screen (at most 16 where it is not reported)."""
    page = context.new_page()
    page.goto(url)
    page.wait_for_function("window.seen.usable")
    page.wait_for_timeout(SETTLED)
    if live:
        page.wait_for_selector("body.live-offered")
        page.click("#live-switch")
    page.focus("#prompt textarea")
    page.evaluate("window.seen.keys.length = 0")
    page.keyboard.type(WORDS, delay=110)
    page.wait_for_timeout(1000)
    slow: list[float] = page.evaluate("window.seen.keys")
    page.close()
    every = sorted([16.0] * (len(WORDS) - len(slow)) + slow)
    return every[int(0.95 * (len(every) - 1))]


@contextmanager
def empty_page() -> Iterator[str]:
    """An empty Blocks page in a process of its own; its address."""
    port = free_port()
    process = subprocess.Popen([sys.executable, "-c", EMPTY.format(port=port)], stderr=subprocess.DEVNULL)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument(
        "--parts", nargs="+", choices=("visits", "labs", "typing"), default=["visits", "labs", "typing"]
    )
    args = parser.parse_args()
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder, serve(Path(folder), "--output-dir", folder) as server:
        server.wait("/readyz")
        server.wait_for_page()
        with sync_playwright() as playwright, empty_page() as empty:
            browser = playwright.chromium.launch(executable_path=chromium.find(), args=FLAGS)
            if "visits" in args.parts:
                _retry(browser, empty)
                for name, url in (("empty", empty), ("page", server.url)):
                    for kind, seen in visits(browser, url, args.runs).items():
                        print(f"{name}, {kind}: {seen.line()}", flush=True)
                        figures[f"{name} {kind}"] = asdict(seen)
            context = browser.new_context(viewport={"width": 1280, "height": 940})
            context.set_default_timeout(TIMEOUT)
            context.add_init_script(f"({WATCH})()")
            if "labs" in args.parts:
                for key, longest in labs(context, server.url):
                    print(f"lab {key}: longest task {longest:.0f} ms", flush=True)
                    figures[f"lab {key}"] = longest
            if "typing" in args.parts:
                for live in (False, True):
                    p95 = typing(context, server.url, live)
                    print(f"typing{' with Live' if live else ''}: p95 of a key {p95:.0f} ms", flush=True)
                    figures[f"typing live={live}"] = p95
            browser.close()
    print(json.dumps(figures))


def _retry(browser: Browser, url: str) -> None:
    """Until the page answers."""
    page = browser.new_page()
    for _ in range(120):
        try:
            page.goto(url)
            break
        except Exception:
            page.wait_for_timeout(500)
    page.close()


if __name__ == "__main__":
    main()
