"""The page's header: the product, what the model does just now, language, theme and help."""

from __future__ import annotations

from typing import Any

import gradio as gr

from app.i18n import say
from app.service import Service
from app.ui.generate import GenerateTab
from app.ui.picture import scaling_update
from app.widgets.events import LOCAL, PRIVATE, Updates, language
from app.widgets.status import line_html, safe, state_html
from app.widgets.translation import Translation

TICK_SECONDS = 0.7  # how often the header asks while the model loads
SWITCH = "(...values) => { window.latentLab.switchLanguage(); return values; }"


class Header:
    """Built inside a gr.Blocks context."""

    def __init__(self, service: Service, translation: Translation) -> None:
        self.service, self.translation = service, translation
        product, make = safe(say(translation.lang, "product")), translation.make
        with gr.Row(elem_id="header"):
            gr.HTML(f"<h1>{product}</h1>", elem_id="brand")
            self.state = gr.HTML(state_html(service.state, translation.lang), elem_id="state")
            self.switch = make(gr.Button, {"value": "other_language"}, size="sm", elem_id="language", min_width=0)
            theme_button = make(gr.Button, {"value": "theme"}, size="sm", elem_id="theme", min_width=0)
            help_button = gr.Button("?", size="sm", elem_id="help", min_width=0)
        help_button.click(js="() => window.latentLab.showHelp()", **LOCAL)
        theme_button.click(js="() => window.latentLab.switchTheme()", **LOCAL)

    def wire(self, blocks: gr.Blocks, tab: GenerateTab) -> Any:
        """Follow the model while it loads, and change the language; returns the event of a change."""
        self._tab = tab
        self._wire_state(blocks)
        return self._wire_language(blocks)

    def _wire_state(self, blocks: gr.Blocks) -> None:
        """The header follows the model while it loads; then Generate wakes up."""
        self._timer = gr.Timer(
            TICK_SECONDS, active=False
        )  # woken by `opened`: a late tick would wake Generate in mid-run
        form, line = self._tab.form, self._tab.stage.line
        busy = gr.Checkbox(visible="hidden", show_label=False)
        changed = [self.state, self._timer, line, form.generate, form.model, form.reading, *form.limited, *form.owned]
        wired: dict[str, Any] = {
            "inputs": [form["prompt"], form.model, busy],
            "outputs": changed,
            "js": "async (prompt, model) => [prompt, model, await window.latentLab.hasRun()]",
        }
        form.refill_on(blocks.load(self.opened, **wired, **PRIVATE))
        self._timer.tick(self.ticked, **wired, **PRIVATE)

    def opened(self, prompt: str, model: str | None, busy: bool, request: gr.Request) -> Updates:
        """What a page that opens shows of the model. `busy`: its tab has a run."""
        return self._refresh(prompt or "", model, busy, request, ticking=False)

    def ticked(self, prompt: str, model: str | None, busy: bool, request: gr.Request) -> Updates:
        """The same while the model loads."""
        return self._refresh(prompt or "", model, busy, request, ticking=True)

    def _refresh(self, prompt: str, model: str | None, busy: bool, request: gr.Request, ticking: bool) -> Updates:
        """`busy`: the tab has a run, whose end wakes Generate and whose line stays."""
        tab, form, line, service = self._tab, self._tab.form, self._tab.stage.line, self.service
        lang, state = language(request, service.settings.lang), service.state
        updates: Updates = {self.state: state_html(state, lang)}
        if state.phase in ("starting", "loading"):
            if not ticking:
                updates[self._timer] = gr.Timer(active=True)
            text = say(lang, f"state_{state.phase}", percent=f"{100 * state.progress:.0f}", message=state.message)
            return updates | {line: line_html(text, fraction=state.progress)}
        updates[self._timer] = gr.Timer(active=False)
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

    def _wire_language(self, blocks: gr.Blocks) -> Any:
        form = self._tab.form
        about = [form["prompt"], form.model]
        outputs = [*self.translation.components, self._tab.stage.scaling, self.state, form.chips, form.reading]
        blocks.load(self.opened_in, about, outputs, **PRIVATE)
        return self.switch.click(self.translate, about, outputs, js=SWITCH, **PRIVATE)

    def opened_in(self, prompt: str, model: str | None, request: gr.Request) -> Updates:
        """The words of a page that opens in another language than it was built in."""
        same = language(request, self.service.settings.lang) == self.translation.lang
        return {self.state: gr.skip()} if same else self.translate(prompt, model, request)

    def translate(self, prompt: str, model: str | None, request: gr.Request) -> Updates:
        """All words of the page in the language of its address."""
        lang = language(request, self.service.settings.lang)
        updates = [{**gr.update(), **properties} for properties in self.translation.updates(lang)]
        translated: Updates = dict(zip(self.translation.components, updates, strict=True))
        apart = {self._tab.stage.scaling: scaling_update(lang), self.state: state_html(self.service.state, lang)}
        return translated | apart | self._tab.about_prompt(prompt, model, request)
