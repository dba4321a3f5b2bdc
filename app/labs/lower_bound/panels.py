"""Lower bound: what each timestep weighs in the bound, in the published code, and in the losses that are used."""

from __future__ import annotations

import gradio as gr

from app.labs.common.panels.panel import Lab, Panel
from app.labs.common.schedules import KIND_WORDS
from app.widgets.events import Updates
from app.widgets.translation import Words

FORMS = {form: f"form_{form}" for form in ("eps", "x0", "x0_published", "v")}
LOSSES = {loss: f"objective_{loss}" for loss in ("bound", "eps", "x0", "v", "min_snr")}
MEASURED = {form: f"measured_{form}" for form in ("eps", "x0", "v")}


class Weights(Panel):
    """The bound's weights over t, beside the published ones; makes the schedule, v and t of the whole lab."""

    key = "weights"

    def lay_controls(self) -> None:
        """t, the forms of the bound, the schedule, and v of the posterior variance, 0…1."""
        self.dial("t", {"label": "t_label", "info": "bound_t_info"}, 0, 999, 400, 1)
        self.control("forms", gr.CheckboxGroup, {"label": "forms_label", "choices": FORMS}, value=list(FORMS))
        words: Words = {"label": "kind_label", "choices": KIND_WORDS}
        self.control("kind", gr.Dropdown, words, value="linear", filterable=False)
        self.slider("v", 0, 1, 0, 0.05)

    def lay_view(self) -> None:
        """A plot."""
        self.card = self.plot_card(height=380)

    def draw(self, lang: str, *, t: float, forms: list[str], kind: str, v: float) -> Updates:
        """Weight by timestep of each form, read off at t."""
        from app.labs.lower_bound.weights import make_schedule, weights_plot

        return self.card.show(weights_plot(make_schedule(kind, float(v)), forms, int(t), lang), lang)


class FirstWeight(Panel):
    """The weight at t = 0, that the formula makes infinite."""

    key = "first"

    def lay_controls(self) -> None:
        """The lab's schedule and v, with a note where they are set."""
        self.reuse("v", "kind")
        self.translation.make(gr.Markdown, {"value": "shared_controls"}, elem_classes="small")

    def lay_view(self) -> None:
        """A plot."""
        self.card = self.plot_card(height=280)

    def draw(self, lang: str, *, v: float, kind: str) -> Updates:
        """The first few weights: what the formula says, and what is used."""
        from app.labs.lower_bound.weights import first_plot, make_schedule

        return self.card.show(first_plot(make_schedule(kind, float(v)), lang), lang)


class Objectives(Panel):
    """Bound, simple losses and min-SNR as weights of one and the same error, and where half of each lies."""

    key = "objectives"

    def lay_controls(self) -> None:
        """The losses, the error they are told in, min-SNR's γ, and the lab's t, v and schedule."""
        self.control("losses", gr.CheckboxGroup, {"label": "losses_label", "choices": LOSSES}, value=list(LOSSES))
        words: Words = {"label": "measured_label", "info": "measured_info", "choices": MEASURED}
        self.control("measured", gr.Radio, words, value="x0")
        self.slider("gamma", 0.5, 20, 5, 0.5)
        self.reuse("t", "v", "kind")

    def lay_view(self) -> None:
        """Two plots."""
        self.plot_card()
        self.plot_card()

    def draw(
        self, lang: str, *, losses: list[str], measured: str, gamma: float, t: float, v: float, kind: str
    ) -> Updates:
        """What each loss pays for one and the same error, and the share of it that lies up to t."""
        from app.labs.lower_bound.weights import losses_plot, make_schedule

        plots = losses_plot(make_schedule(kind, float(v)), losses, measured, float(gamma), int(t), lang)
        return self.show(plots, lang)


LAB = Lab("lower_bound", (Weights, FirstWeight, Objectives))
