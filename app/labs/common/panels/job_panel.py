"""Panels that ask the model for longer: by a button, watched step by step; and what a kept generation needs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, ClassVar

import gradio as gr

from app.i18n import say
from app.labs.common.panels.job_stream import Work, stream_job
from app.labs.common.panels.panel import Panel, Updates
from app.labs.common.panels.pictures import figures
from app.labs.common.panels.plot_card import PlotCard
from app.schemas import MAX_SEED, GenerateRequest, RequestError, validate
from app.ui.status import line_html
from app.ui.translation import PRIVATE, language

if TYPE_CHECKING:
    from app.labs.denoising.trajectory import Recipe, Walk

STEPS = 20
KEPT_SECONDS = 3600  # that an unused generation stays in a session


class JobPanel(Panel):
    """A panel whose view changes only when its button (words `{key}_run`) is pressed."""

    redraws = False

    def run_button(self) -> None:
        """Below the controls."""
        words = {"value": f"{self.key}_run"}
        self.button = self.translation.make(gr.Button, words, variant="primary", elem_id=f"{self.key}-run")

    def make_job(self, lang: str, **values: Any) -> tuple[Work, int]:
        """What the model is asked for the values of `inputs`, and in how many steps; RequestError refuses."""
        raise NotImplementedError

    def on_result(self, lang: str, result: Any, **values: Any) -> Updates:
        """Updates of `outputs` for what the question's work returned, and the values it was asked with."""
        raise NotImplementedError

    def draw(self, lang: str, **values: Any) -> Updates:
        """What is shown before the button has been pressed."""
        del lang, values
        return {}

    def wire(self) -> None:
        outputs = list(dict.fromkeys([self.note, self.button, *self.outputs]))
        self.button.click(self.pressed, list(self.inputs.values()), outputs, **PRIVATE)

    async def pressed(self, request: gr.Request, *values: Any) -> AsyncIterator[Updates]:
        """The button's way into `make_job` and `on_result`."""
        lang = language(request, self.service.settings.lang)
        named = dict(zip(self.inputs, values, strict=True))
        yield {self.button: gr.update(interactive=False), self.note: ""}
        try:
            work, steps = self.make_job(lang, **named)
            async for seen in stream_job(self.service, work, steps, lang):
                done = {} if seen.result is None else self.on_result(lang, seen.result, **named)
                yield {self.note: seen.line, **done}
        except RequestError as error:
            yield {self.note: line_html(error.sentence.says(lang), "failed")}
        yield {self.button: gr.update(interactive=True)}

    def textbox(self, name: str, words: dict[str, str], value: str = "") -> None:
        """A prompt called `name` in links."""
        most = self.service.limits.prompt_chars
        self.controls[name] = self.translation.make(
            gr.Textbox, words, value=value, max_length=most, elem_id=f"{self.key}-{name}"
        )

    def dial(self, name: str, words: dict[str, str], low: float, high: float, value: float, step: float) -> None:
        """A slider called `name` in links, with words of its own."""
        self.controls[name] = self.translation.make(
            gr.Slider, words, minimum=low, maximum=high, value=value, step=step, buttons=[], min_width=160,
            elem_id=f"{self.key}-{name}",
        )  # fmt: skip


class GenerationPanel(JobPanel):
    """A real generation, every step of it kept in the session for the lab's other panels.

    It goes into shared["kept"]; the slider shared["step"] of a later panel gets as many places as there are steps.
    """

    key = "walked"
    max_steps: ClassVar[int] = 50

    def lay_controls(self) -> None:
        self.textbox("walk_prompt", {"label": "prompt"}, "a red apple, noto style")
        self.dial("walk_steps", {"label": "steps", "info": "steps_info"}, 1, self.max_steps, STEPS, 1)
        self.dial("walk_guidance", {"label": "guidance_scale", "info": "guidance_info"}, 1, 15, 5, 0.5)
        self.dial("walk_eta", {"label": "eta", "info": "eta_info"}, 0, 1, 0, 0.05)
        self.controls["walk_seed"] = self.translation.make(
            gr.Number, {"label": "seed"}, value=7, precision=0, minimum=0, maximum=MAX_SEED, elem_id=f"{self.key}-seed"
        )
        self.run_button()

    def lay_view(self) -> None:
        self.film = gr.HTML(elem_id=f"{self.key}-film")
        self.kept = self.shared["kept"] = gr.State(None, time_to_live=KEPT_SECONDS)
        self.outputs = [self.film, self.kept]

    def make_job(self, lang: str, **values: Any) -> tuple[Work, int]:
        from app.labs.denoising.trajectory import filmed

        r = recipe(self, values["walk_prompt"], values["walk_steps"], values["walk_guidance"], values["walk_eta"],
                   values["walk_seed"])  # fmt: skip
        return lambda pipe: filmed(pipe, r), r.steps

    @property
    def inputs(self) -> dict[str, Any]:
        return {**super().inputs, "step": self.shared["step"]}

    def wire(self) -> None:
        self.outputs.append(self.shared["step"])  # made by a later panel
        super().wire()

    async def pressed(self, request: gr.Request, *values: Any) -> AsyncIterator[Updates]:
        """The kept generation comes after the slider's new range: panels asked in between would be outside of it."""
        async for updates in super().pressed(request, *values):
            walk = updates.pop(self.kept, None)
            yield updates
            if walk is not None:
                yield {self.kept: walk}

    def on_result(self, lang: str, result: Any, **values: Any) -> Updates:
        r = result.walk.recipe
        frames = [(say(lang, "walked_frame", i=i), pixels) for i, pixels in result.frames.items()]
        return {
            self.note: line_html(say(lang, "walked_done", n=r.steps, seed=r.seed), "done"),
            self.film: figures([*frames, (say(lang, "walked_picture"), result.picture)]),
            self.kept: result.walk,
            self.shared["step"]: gr.update(maximum=r.steps, value=min(int(values["step"]), r.steps)),
        }


class StepPanel(Panel):
    """A panel that shows the kept generation at the step of the lab's slider, as soon as there is one."""

    def lay_controls(self) -> None:
        if "step" not in self.shared:
            self.shared["step"] = self.slider("step", 1, GenerationPanel.max_steps, STEPS // 2, 1)
        self.controls["step"] = self.shared["step"]

    def lay_view(self) -> None:
        self.shown = gr.HTML(elem_id=f"{self.key}-shown")
        self.card = PlotCard(self.service, self.translation, drawn=False)
        self.outputs = [self.shown, *self.card.outputs]

    @property
    def inputs(self) -> dict[str, Any]:
        return {**super().inputs, "kept": self.shared["kept"]}

    def draw(self, lang: str, **values: Any) -> Updates:
        walk = values.pop("kept")
        if walk is None:
            return {self.shown: f'<p class="small">{say(lang, "fault_no_walk")}</p>'}
        return self.draw_walk(lang, walk, min(int(values.pop("step")), len(walk.moments)), **values)

    def draw_walk(self, lang: str, walk: Any, i: int, **values: Any) -> Updates:
        """Updates for step i (from 1) of a walk."""
        raise NotImplementedError


class FiguresJobPanel(JobPanel):
    """A button's panel whose view is pictures and a plot."""

    def lay_view(self) -> None:
        self.shown = gr.HTML(elem_id=f"{self.key}-shown")
        self.card = PlotCard(self.service, self.translation, drawn=False)
        self.outputs = [self.shown, *self.card.outputs]


class TrajectoryJobPanel(FiguresJobPanel):
    """One that starts from the kept generation."""

    @property
    def inputs(self) -> dict[str, Any]:
        return {**super().inputs, "kept": self.shared["kept"]}


def recipe(panel: Panel, prompt: str, steps: float, guidance_scale: float, eta: float, seed: float | None) -> Recipe:
    """A checked recipe; RequestError in one sentence."""
    from app.labs.denoising.trajectory import Recipe

    if None in (steps, guidance_scale, eta, seed):
        raise RequestError("fault_number")
    made = Recipe(prompt or "", int(steps), float(guidance_scale), float(eta), int(seed or 0))
    request = GenerateRequest(made.prompt, "", made.steps, made.eta, made.guidance_scale, "ddim", made.seed)
    validate(request, panel.service.limits)
    return made


def kept_trajectory(walk: Walk | None) -> Walk:
    """The kept generation; RequestError where there is none yet, or none any more."""
    if walk is None:
        raise RequestError("fault_no_walk")
    return walk
