"""Schedules: four of them compared, a picture under noise, a sampler's steps, the model on other schedules."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gradio as gr

from app.engine import Work
from app.i18n import say
from app.labs.common.panels.job_panel import JobPanel, read_settings
from app.labs.common.panels.panel import Lab, Panel
from app.labs.common.panels.pictures import chosen, figures
from app.labs.common.schedules import KIND_WORDS, KINDS, make_schedules
from app.schemas import RequestError
from app.widgets.events import Updates
from app.widgets.status import line_html
from app.widgets.translation import Words

if TYPE_CHECKING:
    from app.labs.common.cross_schedule import CrossScheduleResult

QUANTITIES = {
    name: f"quantity_{name}"
    for name in ("beta", "alpha", "alpha_bar", "signal", "noise", "snr", "posterior_variance", "coef1", "coef2")
}


class Curves(Panel):
    """Any two quantities of the four schedules, over the same t."""

    key = "curves"

    def lay_controls(self) -> None:
        """t, the schedules, two quantities, the schedules' constants, and v of the posterior variance."""
        self.slider("t", 0, 999, 400, 1)
        words: Words = {"label": "kinds_label", "choices": KIND_WORDS}
        self.control("kinds", gr.CheckboxGroup, words, value=list(KINDS), elem_id="kinds")
        for name, value in (("quantity", "alpha_bar"), ("second", "snr")):
            words = {"label": f"{name}_label", "info": f"{name}_info", "choices": QUANTITIES}
            self.control(name, gr.Dropdown, words, value=value, filterable=False)
        numbers = {"T": 1000, "linear_start": 0.00085, "linear_end": 0.012, "cosine_s": 0.008}
        for name, number in numbers.items():
            self.control(name, gr.Number, {"label": f"{name}_label", "info": f"{name}_info"}, value=number)
        self.dial("v", {"label": "v_label", "info": "curves_v_info"}, 0, 1, 0, 0.05)

    def lay_view(self) -> None:
        """Two plots."""
        self.plot_card()
        self.plot_card()

    def draw(
        self, lang: str, *, t: float, kinds: list[str], quantity: str, second: str, **numbers: float | None
    ) -> Updates:
        """Both quantities over t for each schedule, read off at t. RequestError where a number is missing."""
        from app.labs.schedules.curves import compare

        given: dict[str, Any] = {name: number for name, number in numbers.items() if number is not None}
        if given != numbers:
            raise RequestError("fault_number")
        schedules = make_schedules(kinds, **given)
        plots = [compare(schedules, name, int(t), lang) for name in (quantity, second)]
        return self.show(plots, lang)


class Noising(Panel):
    """A picture at t, noised in pixels and in latents."""

    key = "noising"

    def lay_controls(self) -> None:
        """The lab's t, a picture, and the noise's seed."""
        self.reuse("t")
        self.upload("picture")
        self.slider("noise_seed", 0, 20, 0, 1)

    def lay_view(self) -> None:
        """A row of pictures, a sentence under it."""
        self.shown = gr.HTML(elem_id="noised")
        self.caption = gr.Markdown(elem_classes="caption")
        self.outputs += [self.shown, self.caption]

    def draw(self, lang: str, *, t: float, picture: str | None, noise_seed: float) -> Updates:
        """The picture, noised in pixels, and noised in its latent and decoded; signal, noise and SNR at t."""
        from app.labs.schedules.forward_process import noised

        original = chosen(self.service, picture)
        made = self.service.run_work(lambda pipe: noised(pipe, original, self._trained(int(t)), int(noise_seed)))
        names = ("noised_original", "noised_pixels", "noised_latent")
        shown = zip((say(lang, n) for n in names), (original, made.pixels, made.latent), strict=True)
        numbers = {"signal": f"{made.signal:.3f}", "noise": f"{made.noise:.3f}", "snr": f"{made.snr:.3g}"}
        text = say(lang, "noising_summary", t=int(t), **numbers)
        return {self.shown: figures(list(shown)), self.caption: text}

    def _trained(self, t: int) -> int:
        pipe = self.service.pipe
        return t if pipe is None else min(t, pipe.config.schedule.timesteps - 1)


class Steps(Panel):
    """Which timesteps a run of S steps takes, and how much noise each adds."""

    key = "steps"

    def lay_controls(self) -> None:
        """How many steps S, and eta, 0…1."""
        self.slider("S", 1, 100, 10, 1)
        words, bounds = {"label": "eta_label", "info": "eta_lab_info"}, {"minimum": 0, "maximum": 1, "step": 0.05}
        self.control("eta_lab", gr.Slider, words, **bounds, value=1, buttons=[], elem_id="steps-eta")

    def lay_view(self) -> None:
        """Two plots."""
        self.plot_card()
        self.plot_card()

    def draw(self, lang: str, *, S: float, eta_lab: float) -> Updates:
        """The timesteps that each spacing chooses, and σ of the noise that each step adds."""
        from app.labs.schedules.curves import step_grids, step_noise
        from ldm_core.diffusion.schedule import NoiseSchedule
        from ldm_core.presets import SD_SCHEDULE

        pipe = self.service.pipe
        schedule = NoiseSchedule.from_config(SD_SCHEDULE) if pipe is None else pipe.schedule
        plots = step_grids(schedule, int(S), lang), step_noise(schedule, int(S), float(eta_lab), lang)
        return self.show(plots, lang)


class CrossSchedulePanel(JobPanel["CrossScheduleResult"]):
    """One prompt and seed on all four schedules."""

    key = "respaced"

    def lay_controls(self) -> None:
        """Prompt, steps and seed."""
        self.textbox("respaced_prompt", {"label": "prompt"}, "a red apple, noto style")
        self.dial("respaced_steps", {"label": "S_label", "info": "S_info"}, 2, 50, 8, 1)
        self.seed("respaced_seed")
        self.run_button()

    def lay_view(self) -> None:
        """A row of pictures, a plot under it."""
        self.pictures = gr.HTML(elem_id="respaced")
        self.card = self.plot_card(height=280, drawn=False)
        self.outputs.append(self.pictures)

    def make_job(
        self, *, respaced_prompt: str | None, respaced_steps: float, respaced_seed: float | None
    ) -> tuple[Work[Any], int]:
        """The prompt sampled on all four schedules in one batch. RequestError while no model is loaded."""
        from app.labs.common.cross_schedule import sample_on_schedules

        if self.service.pipe is None:
            raise RequestError("still_loading")
        c = self.service.pipe.config.schedule
        schedules = make_schedules(KINDS, c.timesteps, c.linear_start, c.linear_end, c.cosine_s)
        params = read_settings(self, respaced_prompt, steps=respaced_steps, seed=respaced_seed or 0)
        return lambda pipe: sample_on_schedules(pipe, params, schedules), params.steps

    def on_result(
        self, lang: str, result: CrossScheduleResult, *, respaced_steps: float, respaced_seed: float | None, **_: Any
    ) -> Updates:
        """A picture a schedule, and which trained timesteps stood for its steps."""
        from app.labs.common.cross_schedule import timesteps_plot

        steps, seed = int(respaced_steps), int(respaced_seed or 0)
        pictures = [(say(lang, f"schedule_{kind}"), pixels) for kind, pixels in result.pictures.items()]
        return {
            self.note: line_html(say(lang, "respaced_summary", steps=steps, seed=seed)),
            self.pictures: figures(pictures),
            **self.card.show(timesteps_plot(result, lang), lang),
        }


LAB = Lab("schedules", (Curves, Noising, Steps, CrossSchedulePanel))
