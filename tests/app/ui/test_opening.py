"""How the page's document travels; that the browser reads it sooner, tests/browser/test_page.py says."""

from __future__ import annotations

import gradio as gr
from fastapi.testclient import TestClient

from app.settings import Settings
from app.ui.mount import mount_blocks


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
