"""The whole page: header, tabs, language, and what gr.mount_gradio_app must be told."""

from __future__ import annotations

import gradio as gr

from app.service import Service
from app.ui.effects import wire_effects
from app.ui.endpoint import add_endpoint
from app.ui.generate import GenerateTab
from app.ui.header import Header
from app.ui.history import HistoryTab
from app.ui.lab_tab import LabTabs
from app.ui.labs import LABS
from app.widgets.translation import Translation


def build_page(service: Service) -> gr.Blocks:
    """The page on a service; needs no model yet."""
    translation = Translation(service.settings.lang)
    blocks: gr.Blocks
    with gr.Blocks(title="Latent Lab", analytics_enabled=False, fill_width=True) as blocks:
        header = Header(service, translation)
        with gr.Tabs() as tabs:
            with translation.make(gr.Tab, {"label": "generate_tab"}, id="generate"):
                tab = GenerateTab(blocks, service, translation)
            history = HistoryTab(service, translation)
            labs = LabTabs(LABS, service, translation)
        translation.make(gr.Markdown, {"value": "credits"}, elem_classes="credits")
        switched = header.wire(blocks, tab)
        wire_effects(tab.form, switched)
        tab.follow_language(switched)
        history.wire(tab.stage, switched)
        labs.wire(blocks, tabs, switched)
        add_endpoint(service)
    _report_to(header.state, blocks)
    blocks.queue(default_concurrency_limit=16, max_size=None)
    return blocks


def _report_to(component: gr.HTML, blocks: gr.Blocks) -> None:
    """Let this one component carry the (hidden) status of every event.

    Otherwise Gradio's page gives each status to each output it has ever updated, and walks its tree for each of them:
    with the labs on the page that was 35 of the 51 seconds it took to open on a busy core.
    """
    for function in blocks.fns.values():
        function.show_progress_on = [component]
