"""Panels that ask the model for longer: by a button, watched step by step; and what a kept generation needs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import gradio as gr

from app.engine import Work
from app.i18n import say
from app.labs.common.panels.job_stream import stream_job
from app.labs.common.panels.panel import Panel, Shared
from app.labs.common.panels.pictures import figures
from app.labs.common.shared_results import SharedResults
from app.schemas import RequestError, check_params, read_params
from app.service import Service
from app.widgets.events import PRIVATE, Updates, however_it_ends, language
from app.widgets.status import fault_html, line_html
from app.widgets.translation import Translation
from ldm_core.sampling import SamplingParams

if TYPE_CHECKING:
    from app.labs.common.trajectory import Trajectory

PROMPT = "a red apple on a blue background"
STEPS = 20
DEFAULT_STEP = 6  # early: the shape stands, and what guidance does is to be seen
KEPT_SECONDS = 3600  # that an unused generation stays in a session


@dataclass(frozen=True, eq=False)
class Finished:
    """A job's result, and the values of `inputs` it was made with."""

    result: Any
    values: Mapping[str, Any]


class JobPanel(Panel):
    """A panel whose view changes only when its button (words `{key}_run`) is pressed.

    Where `opens_drawn`, it shows the result of its controls' defaults until then: one job for all visitors.
    """

    opens_drawn: ClassVar[bool] = True

    def __init__(self, service: Service, translation: Translation, shared: Shared, results: SharedResults) -> None:
        super().__init__(service, translation, shared, results)
        self.last = gr.State(None, time_to_live=KEPT_SECONDS)

    def run_button(self) -> None:
        """Below the controls."""
        words = {"value": f"{self.key}_run"}
        self.button = self.translation.make(gr.Button, words, variant="primary", elem_id=f"{self.key}-run")

    def make_job(self, lang: str, **values: Any) -> tuple[Work[Any], int]:
        """What the model is asked for the values of `inputs`, and in how many steps; RequestError refuses."""
        raise NotImplementedError

    def on_result(self, lang: str, result: Any, **values: Any) -> Updates:
        """Updates of `outputs` for what the job's work returned, and the values it was asked with."""
        raise NotImplementedError

    @property
    def inputs(self) -> dict[str, Any]:
        """The controls, and what this page's last job returned."""
        return {**super().inputs, "last": self.last}

    @property
    def redrawn_by(self) -> list[Any]:
        """Nothing: the button draws."""
        return []

    def default_values(self) -> dict[str, Any]:
        """What `make_job` gets before anybody has touched a control."""
        values = {name: component.value for name, component in self.controls.items()}
        return values | dict.fromkeys(self.uploads)

    def default_result(self) -> Any:
        """The default values' result, everybody's."""
        work, _ = self.make_job("en", **self.default_values())
        return self.results.get(self.key, work)

    def draw(self, lang: str, **values: Any) -> Updates:
        """The page's own last result, else the default's."""
        if (last := values["last"]) is not None:
            return self.on_result(lang, last.result, **last.values)
        return self.on_result(lang, self.default_result(), **self.default_values()) if self.opens_drawn else {}

    def wire(self) -> None:
        """The button's event; the page's own events draw what it left."""
        outputs = list(dict.fromkeys([self.note, self.button, self.last, *self.outputs]))
        self.wire_button(outputs)

    def wire_button(self, outputs: list[Any]) -> None:
        """The button runs the job, and wakes whatever ends that."""
        pressed = self.button.click(self.pressed, list(self.inputs.values()), outputs, **PRIVATE)
        however_it_ends(pressed, "() => window.latentLab.wake()[0]", self.button)

    async def pressed(self, request: gr.Request, *values: Any) -> AsyncIterator[Updates]:
        """The button's way into `make_job` and `on_result`."""
        lang = language(request, self.service.settings.lang)
        yield {self.button: gr.update(interactive=False), self.note: ""}
        try:
            named = self.read(values)
            del named["last"]
            work, steps = await asyncio.to_thread(self.make_job, lang, **named)  # may wait for the default
            async for seen in stream_job(self.service, work, steps, lang):
                if seen.result is None:
                    yield {self.note: seen.line}
                else:
                    drawn = self.on_result(lang, seen.result, **named)
                    yield {self.note: seen.line, **drawn, self.last: Finished(seen.result, named)}
        except RequestError as error:
            yield {self.note: fault_html(error, lang)}
        yield {self.button: gr.update(interactive=True)}


class GenerationPanel(JobPanel):
    """A real generation, every step of it kept in the session for the lab's other panels.

    It goes into shared["kept"]; the slider shared["step"] of a later panel gets as many places as there are steps.
    """

    key = "walked"
    prompt: ClassVar[str] = PROMPT
    max_steps: ClassVar[int] = 50

    def lay_controls(self) -> None:
        """Prompt, steps, guidance, eta and seed of the generation to keep."""
        self.shared["generation"] = self
        self.textbox("walk_prompt", {"label": "prompt"}, self.prompt)
        self.dial("walk_steps", {"label": "steps", "info": "steps_info"}, 1, self.max_steps, STEPS, 1)
        self.dial("walk_guidance", {"label": "guidance_scale", "info": "guidance_info"}, 1, 15, 5, 0.5)
        self.dial("walk_eta", {"label": "eta", "info": "eta_info"}, 0, 1, 0, 0.05)
        self.seed("walk_seed")
        self.run_button()

    def lay_view(self) -> None:
        """Its film; the generation itself stays in the session."""
        self.film = self.placeholder("film")
        self.kept = self.shared["kept"] = gr.State(None, time_to_live=KEPT_SECONDS)
        self.outputs = [self.film]

    def make_job(self, lang: str, **values: Any) -> tuple[Work[Any], int]:
        """A generation with every step recorded. RequestError where a setting is out of bounds."""
        from app.labs.common.trajectory import film

        params = read_settings(
            self,
            values["walk_prompt"],
            steps=values["walk_steps"],
            guidance_scale=values["walk_guidance"],
            eta=values["walk_eta"],
            seed=values["walk_seed"],
        )
        return lambda pipe: film(pipe, params), params.steps

    @property
    def inputs(self) -> dict[str, Any]:
        """The controls, and the lab's step."""
        return {**super().inputs, "step": self.shared["step"]}

    def default_values(self) -> dict[str, Any]:
        """The controls' defaults at the default step."""
        return {**super().default_values(), "step": DEFAULT_STEP}

    def wire(self) -> None:
        """The button's event, which also sets the step's range and keeps the generation."""
        step = self.shared["step"]  # made by a later panel
        outputs = [self.note, self.button, self.last, *self.outputs, step, self.kept]
        self.wire_button(outputs)

    async def pressed(self, request: gr.Request, *values: Any) -> AsyncIterator[Updates]:
        """The kept generation comes after the slider's new range: panels asked in between would be outside of it."""
        async for updates in super().pressed(request, *values):
            yield updates
            if (finished := updates.get(self.last)) is not None:
                n = finished.result.trajectory.params.steps
                yield {self.shared["step"]: gr.update(maximum=n, value=min(int(finished.values["step"]), n))}
                yield {self.kept: finished.result.trajectory}

    def on_result(self, lang: str, result: Any, **values: Any) -> Updates:
        """The film: some steps' estimates, then the picture."""
        r = result.trajectory.params
        frames = [(say(lang, "walked_frame", i=i), pixels) for i, pixels in result.frames.items()]
        return {
            self.note: line_html(say(lang, "walked_done", n=r.steps, seed=r.seed), "done"),
            self.film: figures([*frames, (say(lang, "walked_picture"), result.picture)]),
        }


class StepPanel(Panel):
    """A panel that shows the kept generation, or else the default one, at the step of the lab's slider."""

    def lay_controls(self) -> None:
        """The lab's step, made by the first of its panels."""
        if "step" not in self.shared:
            self.shared["step"] = self.slider("step", 1, GenerationPanel.max_steps, DEFAULT_STEP, 1)
        self.controls["step"] = self.shared["step"]

    def lay_view(self) -> None:
        """Pictures and a plot."""
        self.shown = self.placeholder("shown")
        self.card = self.plot_card(drawn=False)
        self.outputs = [self.shown, *self.card.outputs]

    @property
    def inputs(self) -> dict[str, Any]:
        """The controls, and the kept generation."""
        return {**super().inputs, "kept": self.shared["kept"]}

    def draw(self, lang: str, **values: Any) -> Updates:
        """`draw_step` at the step, or at the last one of a shorter generation, which the note says."""
        trajectory = values.pop("kept") or self.shared["generation"].default_result().trajectory
        i, n = int(values.pop("step")), len(trajectory.steps)
        note: Updates = {self.note: line_html(say(lang, "step_beyond", n=n))} if i > n else {}
        return {**note, **self.draw_step(lang, trajectory, min(i, n), **values)}

    def draw_step(self, lang: str, trajectory: Any, i: int, **values: Any) -> Updates:
        """Updates for step i (from 1) of a trajectory."""
        raise NotImplementedError

    def ask(self, trajectory: Any, i: int, work: Work[Any]) -> Any:
        """What `work` answers about step i of a trajectory; about the default's default step, everybody's answer."""
        if i == DEFAULT_STEP and trajectory is self.shared["generation"].default_result().trajectory:
            return self.results.get(self.key, work)
        return self.service.run_work(work)


class FiguresJobPanel(JobPanel):
    """A button's panel whose view is pictures and a plot."""

    def lay_view(self) -> None:
        """Pictures and a plot, empty until there is a result."""
        self.shown = self.placeholder("shown")
        self.card = self.plot_card(drawn=False)
        self.outputs = [self.shown, *self.card.outputs]


class TrajectoryJobPanel(FiguresJobPanel):
    """One that starts from the kept generation, or else from the default one."""

    @property
    def inputs(self) -> dict[str, Any]:
        """The controls, and the kept generation."""
        return {**super().inputs, "kept": self.shared["kept"]}

    def default_values(self) -> dict[str, Any]:
        """The controls' defaults; None for the kept generation means the default one."""
        return {**super().default_values(), "kept": None}

    @property
    def redrawn_by(self) -> list[Any]:
        """The kept generation: the note tells a result that was made from another."""
        return [self.shared["kept"]]

    def draw(self, lang: str, **values: Any) -> Updates:
        """The last result or the default's, and a note where it was not made from the generation kept now."""
        last = values["last"]
        started_from = None if last is None else last.values["kept"]
        note: Updates = {} if started_from is values["kept"] else {self.note: line_html(say(lang, "made_from_earlier"))}
        return {**super().draw(lang, **values), **note}

    def trajectory(self, kept: Trajectory | None) -> Trajectory:
        """The generation this page has kept, or everybody's."""
        trajectory: Trajectory = kept or self.shared["generation"].default_result().trajectory
        return trajectory


def read_settings(panel: Panel, prompt: str | None, **settings: Any) -> SamplingParams:
    """The controls' values as a checked request of DDIM, its prompt as the model reads it; RequestError in one
    sentence.
    """
    params = read_params({"prompt": prompt or "", **settings})
    check_params(params, panel.service.limits)
    return panel.service.in_english(params)
