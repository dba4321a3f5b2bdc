"""Lower bound: what each timestep weighs in the bound, in the published code, and in the losses that are used."""

from __future__ import annotations

from typing import Any

import gradio as gr

from app.labs.common.panels.panel import Lab, Panel
from app.labs.common.schedules import KIND_WORDS
from app.schemas import RequestError
from app.widgets.events import Updates

FORMS = {form: f"form_{form}" for form in ("eps", "x0", "x0_published", "v")}
LOSSES = {loss: f"objective_{loss}" for loss in ("bound", "eps", "x0", "v", "min_snr")}
MEASURED = {form: f"measured_{form}" for form in ("eps", "x0", "v")}


class Weights(Panel):
    """The bound's weights over t, beside the published ones; makes the schedule, v and t of the whole lab."""

    key = "weights"

    def lay_controls(self) -> None:
        """t, the forms of the bound, the schedule, and v of the posterior variance, 0…1."""
        make = self.translation.make
        self.shared["t"] = self.dial("t", {"label": "t_label", "info": "bound_t_info"}, 0, 999, 400, 1)
        self.controls["forms"] = make(
            gr.CheckboxGroup, {"label": "forms_label", "choices": FORMS}, value=list(FORMS), elem_id="weights-forms"
        )
        self.shared["kind"] = self.controls["kind"] = make(
            gr.Dropdown,
            {"label": "kind_label", "choices": KIND_WORDS},
            value="linear",
            filterable=False,
            elem_id="weights-kind",
        )
        self.shared["v"] = self.slider("v", 0, 1, 0, 0.05)

    def lay_view(self) -> None:
        """A plot."""
        self.card = self.plot_card(height=380)
        self.outputs = self.card.outputs

    def draw(self, lang: str, **values: Any) -> Updates:
        """Weight by timestep of each form, read off at t."""
        from app.labs.lower_bound.weights import make_schedule, weights_plot

        schedule = make_schedule(values["kind"], float(values["v"]))
        return self.card.show(weights_plot(schedule, values["forms"], int(values["t"]), lang), lang)


class FirstWeight(Panel):
    """The weight at t = 0, that the formula makes infinite."""

    key = "first"

    def lay_controls(self) -> None:
        """The lab's schedule and v, with a note where they are set."""
        for name in ("v", "kind"):
            self.controls[name] = self.shared[name]
        self.translation.make(gr.Markdown, {"value": "shared_controls"}, elem_classes="small")

    def lay_view(self) -> None:
        """A plot."""
        self.card = self.plot_card(height=280)
        self.outputs = self.card.outputs

    def draw(self, lang: str, **values: Any) -> Updates:
        """The first few weights: what the formula says, and what is used."""
        from app.labs.lower_bound.weights import first_plot, make_schedule

        return self.card.show(first_plot(make_schedule(values["kind"], float(values["v"])), lang), lang)


class Objectives(Panel):
    """Bound, simple losses and min-SNR as weights of one and the same error, and where half of each lies."""

    key = "objectives"

    def lay_controls(self) -> None:
        """The losses, the error they are told in, min-SNR's γ, and the lab's t, v and schedule."""
        make = self.translation.make
        self.controls["losses"] = make(
            gr.CheckboxGroup,
            {"label": "losses_label", "choices": LOSSES},
            value=list(LOSSES),
            elem_id="objectives-losses",
        )
        self.controls["measured"] = make(
            gr.Radio,
            {"label": "measured_label", "info": "measured_info", "choices": MEASURED},
            value="x0",
            elem_id="objectives-measured",
        )
        self.slider("gamma", 0.5, 20, 5, 0.5)
        for name in ("t", "v", "kind"):
            self.controls[name] = self.shared[name]

    def lay_view(self) -> None:
        """Two plots."""
        self.cards = (self.plot_card(), self.plot_card())
        self.outputs = [*self.cards[0].outputs, *self.cards[1].outputs]

    def draw(self, lang: str, **values: Any) -> Updates:
        """What each loss pays for one and the same error, and the share of it that lies up to t."""
        from app.labs.lower_bound.weights import losses_plot, make_schedule

        if values["gamma"] is None:
            raise RequestError("fault_number")
        schedule = make_schedule(values["kind"], float(values["v"]))
        chosen = values["losses"], values["measured"], float(values["gamma"])
        plots = losses_plot(schedule, *chosen, int(values["t"]), lang)
        return self.show(self.cards, plots, lang)


LAB = Lab("lower_bound", (Weights, FirstWeight, Objectives))
