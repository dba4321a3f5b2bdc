"""The discriminator's losses, when it is let in, and how strongly."""

from __future__ import annotations

from typing import Any

import gradio as gr

from app.i18n import say
from app.labs.common.panels.panel import Panel
from app.labs.losses.panels.curves import OfRuns
from app.labs.losses.runs import load_run, run_title
from app.schemas import RequestError
from app.widgets.events import Updates
from app.widgets.status import fault_html, line_html

PLAYERS = {kind: f"player_{kind}" for kind in ("hinge", "vanilla")}


class DiscriminatorLosses(Panel):
    """What a logit costs the discriminator."""

    key = "players"

    def lay_controls(self) -> None:
        """The losses to compare, and a logit."""
        self.controls["players"] = self.translation.make(
            gr.CheckboxGroup,
            {"label": "players_label", "choices": PLAYERS},
            value=list(PLAYERS),
            elem_id="players-players",
        )
        self.slider("logit", -3, 3, 0.5, 0.05)

    def lay_view(self) -> None:
        """A plot."""
        self.card = self.plot_card()
        self.outputs = self.card.outputs

    def draw(self, lang: str, **values: Any) -> Updates:
        """The discriminator's loss over its logit, for real and for made pictures."""
        from app.labs.losses.curves import players_plot

        return self.card.show(players_plot(values["players"], float(values["logit"]), lang), lang)


class DiscriminatorWeight(OfRuns):
    """When the discriminator is let in, how strongly, and what a run logged of it."""

    key = "balance"
    late_choices = ("balance_run",)

    def lay_controls(self) -> None:
        """First step and factor of the discriminator, and a run that had one."""
        for name, number in {"disc_start": 50001, "disc_factor": 1.0}.items():
            self.controls[name] = self.translation.make(
                gr.Number, {"label": f"{name}_label", "info": f"{name}_info"}, value=number, elem_id=f"balance-{name}"
            )
        self.run_choice("balance_run", "decoder", filterable=False)

    def lay_view(self) -> None:
        """Three plots; the third is the run's and shows where it logged something."""
        self.cards = [self.plot_card(height=280, drawn=k < 2) for k in range(3)]
        outputs = [output for card in self.cards for output in card.outputs]
        self.outputs = [*outputs, self.controls["balance_run"]]

    def draw(self, lang: str, **values: Any) -> Updates:
        """The factor over the steps, the adaptive weight over gradients, and what the run logged of that."""
        from app.labs.losses.curves import adaptive_plot, adopt_plot, curves_plot

        start, factor, name = values["disc_start"], values["disc_factor"], values["balance_run"]
        if start is None or factor is None:
            raise RequestError("fault_number")
        plots = [adopt_plot(int(start), float(factor), lang), adaptive_plot(lang)]
        note = ""
        try:
            if name is not None:  # None where there are no runs
                run = {name: load_run(name, self.runs())}
                logged = curves_plot(run, ["train/d_weight"], "step", 0.0, False, lang)
                if any(series.y.any() for series in logged.series):
                    plots.append(logged)
                else:
                    note = line_html(say(lang, "balance_zero", name=run_title(name, lang)))
        except RequestError as error:
            note = fault_html(error, lang)
        hidden = {} if len(plots) == len(self.cards) else {self.cards[-1].column: gr.update(visible=False)}
        return {**self.show(self.cards, plots, lang), **hidden, self.note: note}
