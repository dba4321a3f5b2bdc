"""How the page's document travels, and what its styles ask; when it can be used, tests/browser/test_page.py says."""

from __future__ import annotations

import re

import gradio as gr
from fastapi.testclient import TestClient

from app.settings import Settings
from app.ui.mount import mount_blocks
from app.ui.theme import ASSETS


def test_the_page_travels_compressed_and_whole():
    with gr.Blocks() as blocks:
        box = gr.Textbox("</script>&'")
        box.change(lambda text: text, box, box)
    with TestClient(mount_blocks(blocks, Settings())) as client:
        packed = client.get("/", headers={"Accept-Encoding": "gzip"})
        plain = client.get("/", headers={"Accept-Encoding": "identity"})
    assert packed.headers["Content-Encoding"] == "gzip"
    assert "Content-Encoding" not in plain.headers
    assert packed.text == plain.text


def test_no_rule_looks_through_a_lab_for_what_it_has():
    """Such a rule is judged anew at each change below it: plotly's labels then cost ten times as much."""
    rules = re.sub(r"/\*.*?\*/", "", (ASSETS / "page.css").read_text(encoding="utf-8"), flags=re.DOTALL)
    assert "data-lesson-open" in rules
    assert not re.findall(r"\.(?:lab|panel|plot|figures|lesson-card)(?![\w-])[^,{>]*:has\(", rules)
