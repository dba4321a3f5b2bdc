"""axe-core, which looks for what keeps people out of a page: fetched once by the npm client, kept beside the checkout's
environment, never a part of the repository.
"""

from __future__ import annotations

import tarfile
from typing import Any

from playwright.sync_api import Page

from ldm_core.data.sources import Package, fetch
from scripts.environment import default_root

AXE = Package(
    "axe-core",
    "4.14.1",
    "sha512-FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/pkjNQb09a3NPjCKg2rhu5qb2S4r76ASyFNNtuFooJpZe37OgudVGtQ==",
)
SERIOUS = ("serious", "critical")
UPSTREAM = {  # rule: a piece of the element that Gradio draws so. This list may only shrink.
    "label-content-name-mismatch": 'class="upload-container',
    "aria-prohibited-attr": 'aria-label="Empty value"',
}


def script() -> str:
    """The program to be run in the page; SourceError where it is neither kept nor to be had."""
    with tarfile.open(fetch(AXE, default_root() / "axe")) as archive:
        member = archive.extractfile("package/axe.min.js")
        assert member is not None
        return member.read().decode()


def findings(page: Page, axe: str) -> list[str]:
    """One line per place that breaks a serious rule on the page as it stands, upstream's own apart."""
    page.evaluate(axe)
    found: list[dict[str, Any]] = page.evaluate("axe.run({ resultTypes: ['violations'] }).then((r) => r.violations)")
    return [
        f"{rule['impact']} {rule['id']}: {node['html'][:160]}"
        for rule in found
        if rule["impact"] in SERIOUS
        for node in rule["nodes"]
        if UPSTREAM.get(rule["id"], "\0") not in node["html"]
    ]
