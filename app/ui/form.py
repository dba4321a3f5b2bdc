"""The controls of the Generate tab."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import gradio as gr

from app.i18n import say
from app.ui.effects import ASLEEP, INFO
from app.ui.fields import FIELDS, SIDES
from app.ui.gradio_patches.canvas_files import keep_files
from app.ui.prompt_line import chips_html, live_html
from app.widgets.events import LOCAL, Updates
from app.widgets.translation import Translation, Words
from ldm_core.sampling import Limits, SamplingParams
from ldm_core.text.knowledge import Knowledge

PAINT = ("#0d9488", 0.75)  # lets what lies under it be seen, and stands out on white
PICTURES = 4  # that the page makes at once, unless it is told otherwise
SLIDER_STEPS = 150  # more can be typed
KEPT = json.dumps(["model", *FIELDS])  # JavaScript: the names of what the tab remembers (form.js)


def _trained(limits: Limits) -> str:
    """The side that the model was trained at, where form.js finds it also while Advanced is folded."""
    return f'<i data-trained="{limits.image_size}"></i>'


class Form:
    """Prompt, buttons and controls; `fields` maps the request's names to components in the order of FIELDS.

    Bounds are judged by the request alone: a number field takes whatever is typed, and the slider beside it writes into
    it. A component with bounds of its own would refuse an event before any function here could say why.
    """

    def __init__(self, limits: Limits, translation: Translation, knowledge: Knowledge | None) -> None:
        self.limits, self.knowledge = limits, knowledge
        self._make, self._lang = translation.make, translation.lang
        self._named: dict[str, Any] = {}
        self.sliders: dict[str, gr.Slider] = {}

    @property
    def fields(self) -> list[Any]:
        """The request's components, complete once every part is laid out."""
        return [self._named[name] for name in FIELDS]

    def __getitem__(self, name: str) -> Any:
        return self._named[name]

    def ask(self, examples: Sequence[str]) -> None:
        """Prompt, what the model makes of it, chips, the buttons, examples by the keys of their words."""
        words = {"label": "prompt", "placeholder": "prompt_placeholder"}
        self._named["prompt"] = self._make(
            gr.Textbox,
            words,
            value="",
            lines=2,
            max_lines=8,
            autofocus=True,
            elem_id="prompt",
            max_length=self.limits.prompt_chars,
        )
        self.reading = gr.HTML(elem_id="reading")
        self.chips = gr.HTML(
            chips_html(self.knowledge, self._lang), elem_id="chips", visible=self.knowledge is not None
        )
        with gr.Row(elem_classes="buttons", elem_id="go"):
            self.generate = self._make(
                gr.Button, {"value": "generate"}, variant="primary", interactive=False, elem_id="generate", scale=3
            )
            self.stop = self._make(gr.Button, {"value": "stop"}, interactive=False, elem_id="stop", scale=1)
            self.surprise = self._make(gr.Button, {"value": "surprise"}, elem_id="surprise", scale=1)
            counts = [n for n in (1, 2, 4, 6, 8) if n <= self.limits.max_batch]
            self._named["batch"] = self._make(
                gr.Dropdown,
                {"label": "batch"},
                choices=counts,
                value=min(PICTURES, counts[-1]),
                allow_custom_value=True,
                elem_id="batch",
                scale=1,
                min_width=90,
            )
        gr.HTML(live_html(self._lang), elem_id="live-row")
        self.trained = gr.HTML(_trained(self.limits), visible="hidden")
        self.start_chip = gr.HTML(elem_id="start-chip")  # a start picture whose section is folded
        with gr.Row(elem_id="offers"):
            self.undo = self._make(gr.Button, {"value": "undo"}, size="sm", elem_id="undo", min_width=0)
            self.fill = self._make(gr.Button, {"value": "fill_form"}, size="sm", elem_id="fill", min_width=0)
        with gr.Row(elem_id="examples"):
            self._make(gr.HTML, {"value": "examples"})
            for key in examples:
                chip: dict[str, Any] = {"size": "sm", "elem_classes": "chip", "min_width": 0}
                button = self._example(key, chip)
                button.click(inputs=button, js="(text) => window.latentLab.say(text)", **LOCAL)

    def _example(self, key: str, chip: dict[str, Any]) -> Any:
        """In the page's language; in English for an open vocabulary, which is an English one."""
        return (
            gr.Button(say("en", key), **chip)
            if self.knowledge is None
            else self._make(gr.Button, {"value": key}, **chip)
        )

    def controls(self) -> None:
        """What has a good default: the model, where there is a choice, and folded away all else."""
        self.model = self._make(
            gr.Dropdown,
            {"label": "model"},
            choices=[""],
            value="",
            allow_custom_value=True,
            visible=False,
            elem_id="model",
        )
        self._start_picture()
        with self._make(gr.Accordion, {"label": "advanced"}, open=False, elem_id="advanced"):
            self._named["negative_prompt"] = self._make(
                gr.Textbox,
                {"label": "negative_prompt", "info": INFO["negative_prompt"]},
                lines=1,
                max_lines=4,
                value="",
                elem_id="negative-prompt",
                max_length=self.limits.prompt_chars,
            )
            with gr.Row():
                self._number("steps", 1, SLIDER_STEPS, SamplingParams.steps, 1)
                self._number("guidance_scale", 0, 20, self.limits.guidance_scale, 0.1)
            self._sampler()
            self._seeds()
            with gr.Row():
                side, multiple = self.limits.image_size, self.limits.size_multiple
                for name in SIDES:
                    self._number(name, multiple, self.limits.max_side, side, multiple)
            self._make(gr.Markdown, {"value": "size_note"}, elem_classes="note", elem_id="size-note")
            with self._make(gr.Accordion, {"label": "restore"}, open=False, elem_id="restore"):
                self._make(gr.Markdown, {"value": "restore_info"}, elem_classes="note")
                self.restore = self._make(
                    gr.File,
                    {"label": "restore_file"},
                    file_types=[".png"],
                    height=110,
                    elem_id="png",
                    elem_classes="drop",
                )
            self.reset = self._make(gr.Button, {"value": "reset"}, size="sm", elem_id="reset")
        self._local_events()

    def _sampler(self) -> None:
        """Sampler, what it does, and eta, which one of them uses."""
        with gr.Row():
            with gr.Column(min_width=200):
                self._named["sampler"] = self._make(
                    gr.Dropdown,
                    {"label": "sampler", "info": INFO["sampler"]},
                    choices=list(self.limits.samplers),
                    value=self.limits.samplers[0],
                    allow_custom_value=True,
                    elem_id="sampler",
                )
                self.sampler_says = self._make(gr.Markdown, {"value": "sampler_ddim"}, elem_classes="note")
            self._number("eta", 0, 1, SamplingParams.eta, 0.01)

    def _seeds(self) -> None:
        """Seed and variation: an empty seed is another one each time."""
        with gr.Row(elem_id="seed-row"):
            words: Words = {"label": "seed", "info": INFO["seed"], "placeholder": "seed_random"}
            self._named["seed"] = self._make(gr.Textbox, words, value="", max_lines=1, elem_id="seed", scale=3)
            self.dice = self._make(gr.Button, {"value": "dice"}, size="sm", elem_id="dice", scale=1, min_width=96)
            self.keep = self._make(
                gr.Button, {"value": "keep_seed"}, size="sm", elem_id="keep-seed", scale=1, min_width=96
            )
        with gr.Row():
            self._number("variation_strength", 0, 1, SamplingParams.variation_strength, 0.01)
            self._named["variation_seed"] = self._make(
                gr.Textbox,
                {"label": "variation_seed", "info": ASLEEP["variation_seed"]},
                value="",
                interactive=False,
                max_lines=1,
                elem_id="variation-seed",
            )

    def _start_picture(self) -> None:
        with self._make(gr.Accordion, {"label": "start_picture"}, open=False, elem_id="start") as self.start:
            self._make(gr.Markdown, {"value": "start_info"}, elem_classes="note")
            # Its properties never change: an update would build a new editor, without keep_files.
            self.canvas = keep_files(
                gr.ImageEditor(
                    type="filepath",
                    format="png",
                    sources=("upload", "clipboard"),
                    transforms=(),
                    layers=False,
                    brush=gr.Brush(colors=[PAINT], default_size=40, color_mode="fixed"),
                    show_label=False,
                    buttons=[],
                    canvas_size=(512, 512),
                    height=420,
                    elem_id="canvas",
                )
            )
            # Whether there is a picture on it: to ask the editor would make it send all of it at every stroke.
            self.has_start = gr.Checkbox(False, visible="hidden", show_label=False)
            self.use_shown = self._make(gr.Button, {"value": "use_shown"}, size="sm", elem_id="use-shown")
            self._number("strength", 0.02, 1, SamplingParams.strength, 0.01)

    def _number(self, name: str, low: float, high: float, value: float, step: float) -> None:
        """A number field without bounds called `name`, and a slider that writes into it."""
        key, awake = name.replace("_", "-"), None if name not in ASLEEP else False
        with gr.Column(elem_classes="number", min_width=130 if name in SIDES else 200):
            words: Words = {"label": name, "info": ASLEEP.get(name, INFO[name])}
            box = self._make(gr.Number, words, value=value, interactive=awake, elem_id=key)
            slider = self._make(
                gr.Slider,
                {"label": name},
                minimum=low,
                maximum=high,
                value=value,
                step=step,
                interactive=awake,
                show_label=False,
                container=False,
                buttons=[],
                elem_id=f"{key}-slider",
            )
        slider.input(inputs=slider, outputs=box, js="(v) => v", **LOCAL)
        clamp = f"(v) => v == null ? {low} : Math.min(Math.max(v, {low}), {high})"
        box.change(inputs=box, outputs=slider, js=clamp, **LOCAL)
        self._named[name], self.sliders[name] = box, slider

    def _local_events(self) -> None:
        """What the browser does without asking the server."""
        self.canvas.upload(js="() => true", outputs=self.has_start, **LOCAL)
        self.canvas.clear(js="() => false", outputs=self.has_start, **LOCAL)
        self.has_start.change(inputs=self.has_start, js="(has) => window.latentLab.noteStart(has)", **LOCAL)
        seed, kept = self._named["seed"], [self.model, *self.fields]
        self.dice.click(js="() => ''", outputs=seed, **LOCAL)
        hold = gr.Button(visible="hidden", elem_id="live-seed")  # pressed when Live is switched on or off
        hold.click(inputs=seed, outputs=seed, js="(seed) => window.latentLab.liveSeed(seed)", **LOCAL)
        self.keep.click(inputs=seed, outputs=seed, js="(seed) => `${window.latentLab.shownSeed() ?? seed}`", **LOCAL)
        gr.on(
            [field.change for field in kept],
            inputs=kept,
            js=f"(...values) => window.latentLab.keepForm({KEPT}, values)",
            **LOCAL,
        )
        self.undo.click(js=f"() => window.latentLab.undo({KEPT})", outputs=kept, **LOCAL)
        same = [field for field in self.fields[1:] if field not in self.owned]  # size and guidance are the model's own
        js = f"() => {{ window.latentLab.remember(); return {json.dumps([field.value for field in same])}; }}"
        self.reset.click(outputs=same, js=js, **LOCAL)

    def refill_on(self, opened: Any) -> None:
        """After the event `opened`, give the fields what a link says or they held before the tab was reloaded; a link
        that is opened in the page as it stands fills them too.
        """
        linked, kept = gr.Button(visible="hidden", elem_id="take-link"), [self.model, *self.fields]
        for event in (opened.then, linked.click):
            filled = event(js=f"() => window.latentLab.keptForm({KEPT})", outputs=kept, **LOCAL)
            filled.then(inputs=kept, js=f"(...values) => window.latentLab.keepForm({KEPT}, values)", **LOCAL)

    def model_update(self, names: Sequence[str]) -> Any:
        """The choice of these models, the page's own first; it is hidden where there is none."""
        return gr.update(choices=[(name, name if k else "") for k, name in enumerate(names)], visible=len(names) > 1)

    def limit(self, limits: Limits) -> Updates:
        """Updates of `limited` for a model of these limits, whatever the fields hold."""
        sides = {  # each an update of its own: Gradio takes them apart
            self.sliders[name]: gr.update(
                minimum=limits.size_multiple, maximum=limits.max_side, step=limits.size_multiple
            )
            for name in SIDES
        }
        return {
            **sides,
            self._named["sampler"]: gr.update(choices=list(limits.samplers)),
            self.trained: _trained(limits),
        }

    def own_values(self, limits: Limits) -> Updates:
        """Updates of `owned`: a model's own size and guidance."""
        values = {"guidance_scale": limits.guidance_scale} | dict.fromkeys(SIDES, limits.image_size)
        return {self._named[name]: gr.update(value=value) for name, value in values.items()}

    def own_values_unlike(self, expected: Limits) -> Updates:
        """The same where the page was built for other ones: what is typed already stays where they are the same."""
        values = self.own_values(expected)
        return {field: values[field] for field in self.owned if values[field]["value"] != field.value}

    @property
    def limited(self) -> list[Any]:
        """What has a model's bounds."""
        return [*(self.sliders[name] for name in SIDES), self._named["sampler"], self.trained]

    @property
    def owned(self) -> list[Any]:
        """What each model has its own value of."""
        return [self._named[name] for name in (*SIDES, "guidance_scale")]
