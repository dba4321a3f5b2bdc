"""The controls of the Generate tab, and the way between them and a SamplingParams."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import gradio as gr

from app.schemas import read_params
from app.ui.canvas_input import keep_files
from app.ui.examples import EXAMPLES
from app.ui.translation import LOCAL, Translation
from ldm_core.config import MAX_SEED
from ldm_core.sampling import DEFAULT_SEED, Limits, SamplingParams

PAINT = ("#0d9488", 0.75)  # lets what lies under it be seen, and stands out on white
DRAWN = -1  # what stands for a seed that is to be drawn
FIELDS = (  # the order of every list of field values
    "prompt", "negative_prompt", "steps", "eta", "guidance_scale", "sampler", "seed", "width", "height", "batch",
    "strength",
)  # fmt: skip


def request_from(values: Sequence[Any]) -> SamplingParams:
    """Field values in the order of FIELDS → request; RequestError where one has the wrong type (an emptied number)."""
    named = dict(zip(FIELDS, values, strict=True))
    return read_params(named | {name: named[name] or "" for name in ("prompt", "negative_prompt")})


def values_from(request: SamplingParams, limits: Limits) -> list[Any]:
    """Request → field values in the order of FIELDS; an open size or guidance is the model's own."""
    values = request.to_dict()
    for name in ("width", "height"):
        values[name] = values[name] or limits.image_size
    if request.guidance_scale is None:
        values["guidance_scale"] = limits.guidance_scale
    values["seed"] = DRAWN if request.seed is None else request.seed
    return [values[name] for name in FIELDS]


class Form:
    """Prompt, buttons and controls; `fields` maps the request's names to components in the order of FIELDS."""

    def __init__(self, limits: Limits, translation: Translation) -> None:
        self.limits = limits
        self._make = translation.make
        self._named: dict[str, Any] = {}

    @property
    def fields(self) -> list[Any]:
        """The request's components, complete once every part is laid out."""
        return [self._named[name] for name in FIELDS]

    def __getitem__(self, name: str) -> Any:
        return self._named[name]

    def ask(self) -> None:
        """Prompt with its token counter, the two buttons, examples."""
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
        self.tokens = gr.HTML(elem_id="tokens")
        with gr.Row(elem_classes="buttons"):
            self.generate = self._make(
                gr.Button, {"value": "generate"}, variant="primary", interactive=False, elem_id="generate", scale=3
            )
            self.stop = self._make(gr.Button, {"value": "stop"}, interactive=False, elem_id="stop", scale=1)
        with gr.Row(elem_id="examples"):
            self.examples = [gr.Button(text, size="sm", elem_classes="chip", min_width=0) for text in EXAMPLES]
        for button, text in zip(self.examples, EXAMPLES, strict=True):
            button.click(js=f"() => {json.dumps(text)}", outputs=self._named["prompt"], **LOCAL)

    def controls(self) -> None:
        """Everything that has a good default."""
        with self._make(gr.Accordion, {"label": "negative_prompt"}, open=False):
            self._named["negative_prompt"] = self._make(
                gr.Textbox, {"info": "negative_info"}, lines=1, max_lines=4, value="",
                elem_id="negative", show_label=False,
                max_length=self.limits.prompt_chars,
            )  # fmt: skip
        with gr.Row():
            self._slider("steps", "steps_info", 1, self.limits.max_steps, SamplingParams.steps, 1)
            self._slider("guidance_scale", "guidance_info", 0, 20, self.limits.guidance_scale, 0.1)
        with gr.Row():
            self._slider("eta", "eta_info", 0, 1, SamplingParams.eta, 0.01)
            self._named["sampler"] = self._make(
                gr.Dropdown, {"label": "sampler", "info": "sampler_info"}, choices=list(self.limits.samplers),
                value=self.limits.samplers[0], filterable=False, elem_id="sampler",
            )  # fmt: skip
        with gr.Row(elem_id="seed-row"):
            self._named["seed"] = self._make(
                gr.Number, {"label": "seed", "info": "seed_info"}, value=DEFAULT_SEED, precision=0, minimum=DRAWN,
                maximum=MAX_SEED, elem_id="seed", scale=3,
            )  # fmt: skip
            self.dice = self._make(gr.Button, {"value": "dice"}, size="sm", elem_id="dice", scale=1, min_width=96)
            self.reuse = self._make(gr.Button, {"value": "reuse"}, size="sm", elem_id="reuse", scale=1, min_width=96)
        with gr.Row():
            side, multiple = self.limits.image_size, self.limits.size_multiple
            self._slider("width", None, multiple, self.limits.max_side, side, multiple)
            self._slider("height", None, multiple, self.limits.max_side, side, multiple)
            self._slider("batch", None, 1, self.limits.max_batch, 1, 1)
        self._start_picture()
        with self._make(gr.Accordion, {"label": "restore"}, open=False, elem_id="restore"):
            self._make(gr.Markdown, {"value": "restore_info"}, elem_classes="note")
            self.restore = self._make(
                gr.File, {"label": "restore_file"}, file_types=[".png"], height=110, elem_id="png"
            )
        self._local_events()

    def _start_picture(self) -> None:
        with self._make(gr.Accordion, {"label": "start_picture"}, open=False, elem_id="start"):
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
            self.use_shown = self._make(gr.Button, {"value": "use_shown"}, size="sm", elem_id="use-shown")
            self._slider("strength", "strength_info", 0.02, 1, SamplingParams.strength, 0.01)

    def _slider(self, name: str, info: str | None, low: float, high: float, value: float, step: float) -> None:
        words = {"label": name} | ({"info": info} if info else {})
        self._named[name] = self._make(
            gr.Slider, words, minimum=low, maximum=high, value=value, step=step, elem_id=name.replace("_", "-"),
            min_width=200 if info else 130, buttons=[],
        )  # fmt: skip

    def _local_events(self) -> None:
        """What the browser does without asking the server."""
        seed = self._named["seed"]
        self.dice.click(js="() => window.latentLab.rollSeed()", outputs=seed, **LOCAL)
        self.reuse.click(inputs=seed, outputs=seed, js="(seed) => window.latentLab.shownSeed() ?? seed", **LOCAL)
        keep = f"(...values) => window.latentLab.keepForm({json.dumps(FIELDS)}, values)"
        gr.on([field.change for field in self.fields], inputs=self.fields, js=keep, **LOCAL)

    def refill_on(self, opened: Any) -> None:
        """After the event `opened`, give the fields what they held before the tab was reloaded."""
        js = f"() => window.latentLab.keptForm({json.dumps(FIELDS)})"
        opened.then(js=js, outputs=self.fields, **LOCAL)

    def limit_updates(self, limits: Limits) -> list[Any]:
        """Updates of `limited` for a model that is not the one expected."""
        if limits == self.limits:
            return [gr.skip()] * len(self.limited)
        side: dict[str, Any] = {
            "minimum": limits.size_multiple, "maximum": limits.max_side, "step": limits.size_multiple,
        }  # fmt: skip
        if limits.image_size != self.limits.image_size:  # else a resumed job's size, already filled in, stays
            side["value"] = limits.image_size
        guided = limits.guidance_scale != self.limits.guidance_scale
        return [
            gr.update(value=limits.guidance_scale) if guided else gr.skip(),
            gr.update(maximum=limits.max_steps), gr.update(**side), gr.update(**side),
            gr.update(maximum=limits.max_batch), gr.update(choices=list(limits.samplers)),
        ]  # fmt: skip

    @property
    def limited(self) -> list[Any]:
        """The components that limit_updates is for."""
        return [self._named[name] for name in ("guidance_scale", "steps", "width", "height", "batch", "sampler")]
