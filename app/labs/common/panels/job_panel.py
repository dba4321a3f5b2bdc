"""Panels that ask the model for longer: by a button, watched step by step; and what a kept generation needs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

import gradio as gr

from app.engine import Work
from app.i18n import say
from app.labs.common.opened import differences
from app.labs.common.panels.context import KeptGeneration, LabContext
from app.labs.common.panels.job_stream import stream_job
from app.labs.common.panels.panel import Panel
from app.labs.common.panels.pictures import figures
from app.schemas import RequestError, check_params, read_params
from app.widgets.events import Updates, however_it_ends, language, wire_run
from app.widgets.status import fault_html, line_html
from ldm_core.sampling import SamplingParams

if TYPE_CHECKING:
    from app.labs.common.trajectory import Film, Trajectory

R = TypeVar("R")  # what a panel's job returns

PROMPT = "a red apple on a blue background"
STEPS = 20
DEFAULT_STEP = 6  # early: the shape stands, and what guidance does is to be seen
KEPT_SECONDS = 3600  # that an unused generation stays in a session


@dataclass(frozen=True, eq=False)
class Finished(Generic[R]):
    """A job's result, and the values of `inputs` it was made with."""

    result: R
    values: Mapping[str, Any]


class JobPanel(Panel, Generic[R]):
    """A panel whose view changes only when its button (words `{key}_run`) is pressed.

    Until then it shows the result of its controls' defaults: one job for all visitors.
    """

    def __init__(self, context: LabContext) -> None:
        super().__init__(context)
        self.last = gr.State(None, time_to_live=KEPT_SECONDS)

    def run_button(self) -> None:
        """Below the controls."""
        words = {"value": f"{self.key}_run"}
        self.button = self.translation.make(gr.Button, words, variant="primary", elem_id=f"{self.key}-run")

    def make_job(self, *args: Any, **values: Any) -> tuple[Work[Any], int]:
        """What the model is asked for the values of `inputs`, and in how many steps; RequestError refuses."""
        raise NotImplementedError

    def on_result(self, lang: str, result: R, *args: Any, **values: Any) -> Updates:
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

    def default_result(self) -> R:
        """The default values' result, everybody's."""
        work, _ = self.make_job(**self.default_values())
        result: R = self.results.get(self.key, work)
        return result

    def draw(self, lang: str, *, last: Finished[R] | None = None, **values: Any) -> Updates:
        """The page's own last result, else the default's."""
        if last is not None:
            return self.on_result(lang, last.result, **last.values)
        return self.on_result(lang, self.default_result(), **self.default_values())

    def wire(self) -> None:
        """The button's event; the page's own events draw what it left."""
        outputs = list(dict.fromkeys([self.note, self.last, *self.outputs]))
        self.wire_button(outputs)

    def wire_button(self, outputs: list[Any]) -> None:
        """The button runs the job, and wakes whatever ends that."""
        pressed = wire_run(self.button, self.pressed, list(self.inputs.values()), outputs, self.note)
        however_it_ends(pressed, "() => window.latentLab.wake()[0]", self.button)

    async def pressed(self, request: gr.Request, *values: Any) -> AsyncIterator[Updates]:
        """The button's way into `make_job` and `on_result`."""
        lang = language(request, self.service.settings.lang)
        yield {self.note: ""}
        try:
            named = self.read(values)
            del named["last"]
            work, steps = await asyncio.to_thread(self.make_job, **named)  # may wait for the default
            async for seen in stream_job(self.service, work, steps, lang):
                if seen.result is None:
                    yield {self.note: seen.line}
                else:
                    drawn = self.on_result(lang, seen.result, **named)
                    yield {self.note: seen.line, **drawn, self.last: Finished(seen.result, named)}
        except RequestError as error:
            yield {self.note: fault_html(error, lang)}


class GenerationPanel(JobPanel["Film"]):
    """A real generation, every step of it kept in the session for the lab's other panels, which come after it."""

    key = "walked"
    prompt: ClassVar[str] = PROMPT
    max_steps: ClassVar[int] = 50

    def lay_controls(self) -> None:
        """Prompt, steps, guidance, eta and seed of the generation to keep; the step that other panels show."""
        self.textbox("walk_prompt", {"label": "prompt"}, self.prompt)
        self.dial("walk_steps", {"label": "steps", "info": "steps_info"}, 1, self.max_steps, STEPS, 1)
        self.dial("walk_guidance", {"label": "guidance_scale", "info": "guidance_info"}, 1, 15, 5, 0.5)
        self.dial("walk_eta", {"label": "eta", "info": "eta_info"}, 0, 1, 0, 0.05)
        self.seed("walk_seed")
        self.control("walk_opened", gr.Textbox, {}, visible="hidden")  # the file of a picture opened here
        self.run_button()
        state = gr.State(None, time_to_live=KEPT_SECONDS)
        words, bounds = {"label": "step_label", "info": "step_info"}, {"minimum": 1, "maximum": self.max_steps}
        step = self.control(
            "step", gr.Slider, words, **bounds, value=DEFAULT_STEP, step=1, buttons=[], min_width=160, render=False
        )
        self.kept = self.context.generation = KeptGeneration(state, step, lambda: self.default_result().trajectory)

    def lay_view(self) -> None:
        """Its film."""
        self.film = self.placeholder("film")

    def make_job(
        self,
        *,
        walk_prompt: str | None,
        walk_steps: float,
        walk_guidance: float,
        walk_eta: float,
        walk_seed: float | None,
        **_: Any,
    ) -> tuple[Work[Any], int]:
        """A generation with every step recorded. RequestError where a setting is out of bounds."""
        from app.labs.common.trajectory import film

        settings = {"steps": walk_steps, "guidance_scale": walk_guidance, "eta": walk_eta, "seed": walk_seed}
        params = read_settings(self, walk_prompt, **settings)
        return lambda pipe: film(pipe, params), params.steps

    def wire(self) -> None:
        """The button's event, which also sets the step's range and keeps the generation."""
        opened = self.controls["walk_opened"]
        outputs = [self.note, self.last, *self.outputs, opened, self.kept.step, self.kept.state]
        self.wire_button(outputs)

    async def pressed(self, request: gr.Request, *values: Any) -> AsyncIterator[Updates]:
        """The kept generation comes after the slider's new range: panels asked in between would be outside of it."""
        yield {self.controls["walk_opened"]: ""}  # the next run is of what the controls say by then
        async for updates in super().pressed(request, *values):
            yield updates
            if (finished := updates.get(self.last)) is not None:
                n = finished.result.trajectory.params.steps
                beyond = {"value": n} if int(finished.values["step"]) > n else {}  # else it stays where it is by now
                yield {self.kept.step: gr.update(maximum=n, **beyond)}
                yield {self.kept.state: finished.result.trajectory}

    def on_result(self, lang: str, result: Film, *, walk_opened: str | None = None, **_: Any) -> Updates:
        """The film: some steps' estimates, then the picture."""
        r = result.trajectory.params
        frames = [(say(lang, "walked_frame", i=i), pixels) for i, pixels in result.frames.items()]
        said = say(lang, "walked_done", n=r.steps, seed=r.seed)
        if unlike := differences(self.service, walk_opened or "", r):
            names = say(lang, "joint").join(say(lang, key) for key in unlike)
            said = f"{say(lang, 'walked_relative', names=names)} {said}"
        return {
            self.note: line_html(said, "done"),
            self.film: figures([*frames, (say(lang, "walked_picture"), result.picture)]),
        }


class StepPanel(Panel):
    """A panel that shows the kept generation, or else the default one, at the step of the lab's slider."""

    def lay_controls(self) -> None:
        """The lab's step, placed by the first of its panels."""
        self.reuse("step")
        if not self.context.generation.step.is_rendered:
            self.context.generation.step.render()  # type: ignore[no-untyped-call]  # Gradio's

    @property
    def inputs(self) -> dict[str, Any]:
        """The controls, and the kept generation."""
        return {**super().inputs, "kept": self.context.generation.state}

    def draw(self, lang: str, *, step: float, kept: Trajectory | None, **values: Any) -> Updates:
        """`draw_step` at the step, or at the last one of a shorter generation, which the note says."""
        trajectory = self.context.generation.trajectory(kept)
        i, n = int(step), len(trajectory.steps)
        note: Updates = {self.note: line_html(say(lang, "step_beyond", n=n))} if i > n else {}
        return {**note, **self.draw_step(lang, trajectory, min(i, n), **values)}

    def draw_step(self, lang: str, trajectory: Trajectory, i: int, *args: Any, **values: Any) -> Updates:
        """Updates for step i (from 1) of a trajectory, and the values of further controls."""
        raise NotImplementedError

    def ask(self, trajectory: Trajectory, i: int, work: Work[Any]) -> Any:
        """What `work` answers about step i of a trajectory; about the default's default step, everybody's answer."""
        if i == DEFAULT_STEP and trajectory is self.context.generation.default():
            return self.results.get(self.key, work)
        return self.service.run_work(work)


class TrajectoryJobPanel(JobPanel[R]):
    """A button's panel that starts from the kept generation, or else from the default one."""

    @property
    def inputs(self) -> dict[str, Any]:
        """The controls, and the kept generation."""
        return {**super().inputs, "kept": self.context.generation.state}

    def default_values(self) -> dict[str, Any]:
        """The controls' defaults; None for the kept generation means the default one."""
        return {**super().default_values(), "kept": None}

    @property
    def redrawn_by(self) -> list[Any]:
        """The kept generation: the note tells a result that was made from another."""
        return [self.context.generation.state]

    def draw(
        self, lang: str, *, last: Finished[R] | None = None, kept: Trajectory | None = None, **values: Any
    ) -> Updates:
        """The last result or the default's, and a note where it was not made from the generation kept now."""
        started_from = None if last is None else last.values["kept"]
        note: Updates = {} if started_from is kept else {self.note: line_html(say(lang, "made_from_earlier"))}
        return {**super().draw(lang, last=last, **values), **note}


def read_settings(panel: Panel, prompt: str | None, **settings: Any) -> SamplingParams:
    """The controls' values as a checked request of DDIM, its prompt as the model reads it; RequestError in one
    sentence.
    """
    params = read_params({"prompt": prompt or "", **settings})
    check_params(params, panel.service.limits)
    return panel.service.in_english(params)
