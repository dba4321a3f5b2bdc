"""The whole page: header, tabs, language, and what gr.mount_gradio_app must be told."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

import gradio as gr

from app.i18n import say
from app.labs.common.shared_results import SharedResults
from app.service import Service
from app.ui.effects import wire_effects
from app.ui.endpoint import add_endpoint
from app.ui.generate import GenerateTab
from app.ui.history import HistoryTab
from app.ui.lab_tab import LabTab, link_state
from app.ui.labs import LABS
from app.ui.picture import scaling_update
from app.widgets.events import LOCAL, PRIVATE, QUIET, Updates, language
from app.widgets.status import line_html, safe, state_html
from app.widgets.translation import Translation

TICK_SECONDS = 0.7  # how often the header asks while the model loads

LINKED = itertools.count(1)  # below zero, numbers that nothing else gives the panels: a link draws what it opens
SWITCH = "(...values) => { window.latentLab.switchLanguage(); return values; }"


def build_page(service: Service) -> gr.Blocks:
    """The page on a service; needs no model yet."""
    translation = Translation(service.settings.lang)
    blocks: gr.Blocks
    with gr.Blocks(title="Latent Lab", analytics_enabled=False, fill_width=True) as blocks:
        header, switch = _header(service, translation)
        with gr.Tabs() as tabs:
            with translation.make(gr.Tab, {"label": "generate_tab"}, id="generate"):
                tab = GenerateTab(blocks, service, translation)
            history = HistoryTab(service, translation)
            results = SharedResults(service)
            labs = [LabTab(lab, service, translation, results) for lab in LABS]
        translation.make(gr.Markdown, {"value": "credits"}, elem_classes="credits")
        _wire_state(blocks, service, header, tab)
        switched = _wire_language(blocks, service, translation, header, switch, tab)
        wire_effects(tab.form, switched)
        tab.follow_language(switched)
        history.wire(tab.stage, switched)
        _wire_labs(blocks, tabs, labs, switched)
        add_endpoint(service)
    _report_to(header, blocks)
    blocks.queue(default_concurrency_limit=16, max_size=None)
    return blocks


def _report_to(component: gr.HTML, blocks: gr.Blocks) -> None:
    """Let this one component carry the (hidden) status of every event.

    Otherwise Gradio's page gives each status to each output it has ever updated, and walks its tree for each of them:
    with the labs on the page that was 35 of the 51 seconds it took to open on a busy core.
    """
    for function in blocks.fns.values():
        function.show_progress_on = [component]


def _header(service: Service, translation: Translation) -> tuple[gr.HTML, gr.Button]:
    product = safe(say(translation.lang, "product"))
    with gr.Row(elem_id="header"):
        gr.HTML(f"<h1>{product}</h1>", elem_id="brand")
        header = gr.HTML(state_html(service.state, translation.lang), elem_id="state")
        switch = translation.make(gr.Button, {"value": "other_language"}, size="sm", elem_id="language", min_width=0)
        theme_button = translation.make(gr.Button, {"value": "theme"}, size="sm", elem_id="theme", min_width=0)
        help_button = gr.Button("?", size="sm", elem_id="help", min_width=0)
    help_button.click(js="() => window.latentLab.showHelp()", **LOCAL)
    theme_button.click(js="() => window.latentLab.switchTheme()", **LOCAL)
    return header, switch


def _wire_state(blocks: gr.Blocks, service: Service, header: gr.HTML, tab: GenerateTab) -> None:
    """The header follows the model while it loads; then Generate wakes up."""
    timer = gr.Timer(TICK_SECONDS, active=False)  # woken by `opened`: a late tick would wake Generate in mid-run
    form, line = tab.form, tab.stage.line

    def refresh(prompt: str, model: str | None, busy: bool, request: gr.Request, ticking: bool) -> Updates:
        """`busy`: the tab has a run, whose end wakes Generate and whose line stays."""
        lang, state = language(request, service.settings.lang), service.state
        updates: Updates = {header: state_html(state, lang)}
        if state.phase in ("starting", "loading"):
            if not ticking:
                updates[timer] = gr.Timer(active=True)
            text = say(lang, f"state_{state.phase}", percent=f"{100 * state.progress:.0f}", message=state.message)
            return updates | {line: line_html(text, fraction=state.progress)}
        updates[timer] = gr.Timer(active=False)
        if state.phase == "failed":
            return updates | {line: line_html(say(lang, "load_failed", message=state.message), "failed")}
        updates |= tab.limit(model) | form.own_values_unlike(service.limits)
        updates |= {
            form.model: form.model_update([file.name for file in service.models.usable]),
            form.reading: tab.read_prompt(prompt, model, request),
        }
        if busy:
            return updates
        return updates | {form.generate: gr.update(interactive=True)} | ({line: line_html("")} if ticking else {})

    def opened(prompt: str, model: str | None, busy: bool, request: gr.Request) -> Updates:
        return refresh(prompt or "", model, busy, request, ticking=False)

    def ticked(prompt: str, model: str | None, busy: bool, request: gr.Request) -> Updates:
        return refresh(prompt or "", model, busy, request, ticking=True)

    busy = gr.Checkbox(visible="hidden", show_label=False)
    wired: dict[str, Any] = {
        "inputs": [form["prompt"], form.model, busy],
        "outputs": [header, timer, line, form.generate, form.model, form.reading, *form.limited, *form.owned],
        "js": "async (prompt, model) => [prompt, model, await window.latentLab.hasRun()]",
    }
    form.refill_on(blocks.load(opened, **wired, **PRIVATE))
    timer.tick(ticked, **wired, **PRIVATE)


def _wire_language(
    blocks: gr.Blocks, service: Service, translation: Translation, header: gr.HTML, switch: gr.Button, tab: GenerateTab
) -> Any:
    form = tab.form
    about = [form["prompt"], form.model]
    outputs = [*translation.components, tab.stage.scaling, header, form.chips, form.reading]

    def translate(prompt: str, model: str | None, request: gr.Request) -> Updates:
        lang = language(request, service.settings.lang)
        updates = [{**gr.update(), **properties} for properties in translation.updates(lang)]
        apart = {tab.stage.scaling: scaling_update(lang), header: state_html(service.state, lang)}
        words = tab.about_prompt(prompt, model, request)
        return {**dict(zip(translation.components, updates, strict=True)), **apart, **words}

    def opened(prompt: str, model: str | None, request: gr.Request) -> Updates:
        same = language(request, service.settings.lang) == translation.lang
        return {header: gr.skip()} if same else translate(prompt, model, request)

    blocks.load(opened, about, outputs, **PRIVATE)
    return switch.click(translate, about, outputs, js=SWITCH, **PRIVATE)


def _wire_labs(blocks: gr.Blocks, tabs: gr.Tabs, labs: list[LabTab], switched: Any) -> None:
    """Labs draw when they are opened and in another language; a link opens one with its values."""
    for lab in labs:
        lab.wire(switched)
    numbers = [number for lab in labs for number in lab.redraw_tokens]
    controls = list(dict.fromkeys(c for lab in labs for c in lab.controls.values()))
    switched.then(js="() => window.latentLab.redrawShown()", **LOCAL)

    def follow(query: Mapping[str, str]) -> Updates:
        if query.get("lab") in ("generate", "history"):
            return {tabs: gr.Tabs(selected=query["lab"])}
        lab, values = link_state(query, labs)
        if lab is None:
            return {tabs: gr.skip()}
        return {tabs: gr.Tabs(selected=lab.lab.key), **values, **dict.fromkeys(lab.redraw_tokens, -next(LINKED))}

    def opened(request: gr.Request) -> Updates:
        return follow(dict(request.query_params))

    def clicked(address: str) -> Updates:
        return follow(dict(parse_qsl(address.lstrip("?"))))

    outputs = [tabs, *controls, *numbers]
    blocks.load(opened, None, outputs, **QUIET)
    link = gr.Textbox(visible="hidden", elem_id="lab-link")  # the page's own script writes a link's query into it
    link.change(clicked, link, outputs, **QUIET)  # `input` comes a keystroke late (6.31)
