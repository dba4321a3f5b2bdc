"""Nothing serious keeps anybody out of the page: axe-core's rules, in both themes, on a finished picture too."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.browser import axe
from tests.browser.driving import unfold

pytestmark = pytest.mark.browser


def test_the_generate_tab_has_no_serious_finding(page: Page, rules: str):
    page.click("#start > button")
    unfold(page)
    page.click("#restore > button")
    page.wait_for_timeout(500)
    assert axe.findings(page, rules) == []
    page.fill("#prompt textarea", "a cat")
    page.fill("#steps input[type=number]", "2")
    page.press("#steps input[type=number]", "Tab")
    page.click("#generate")
    expect(page.locator("#history img")).to_have_count(4)
    expect(page.locator("#generate")).to_be_enabled()
    page.click("#theme")
    page.wait_for_timeout(500)
    assert axe.findings(page, rules) == []
