"""The discriminator's losses, when it is let in, and how strongly."""

from __future__ import annotations

import gradio as gr

from app.i18n import say
from app.labs.common.panels.panel import Panel
from app.labs.losses.panels.curves import OfRuns
from app.labs.losses.runs import load_run, run_title
from app.schemas import RequestError
from app.widgets.events import Updates
from app.widgets.status import fault_html, line_html
from app.widgets.translation import Words

PLAYERS = {kind: f"player_{kind}" for kind in ("hinge", "vanilla")}


class DiscriminatorLosses(Panel):
    """What a logit costs the discriminator."""

    key = "players"

    def lay_controls(self) -> None:
        """The losses to compare, and a logit."""
        words: Words = {"label": "players_label", "choices": PLAYERS}
        self.control("players", gr.CheckboxGroup, words, value=list(PLAYERS))
        self.slider("logit", -3, 3, 0.5, 0.05)

    def lay_view(self) -> None:
        """A plot."""
        self.card = self.plot_card()

    def draw(self, lang: str, *, players: list[str], logit: float) -> Updates:
        """The discriminator's loss over its logit, for real and for made pictures."""
        from app.labs.losses.curves import players_plot

        return self.card.show(players_plot(players, float(logit), lang), lang)


class DiscriminatorWeight(OfRuns):
    """When the discriminator is let in, how strongly, and what a run logged of it."""

    key = "balance"
    late_choices = ("balance_run",)

    def lay_controls(self) -> None:
        """First step and factor of the discriminator, and a run that had one."""
        for name, number in {"disc_start": 50001, "disc_factor": 1.0}.items():
            self.control(name, gr.Number, {"label": f"{name}_label", "info": f"{name}_info"}, value=number)
        self.run_choice("balance_run", "decoder", filterable=False)

    def lay_view(self) -> None:
        """Three plots; the third is the run's and shows where it logged something."""
        for drawn in (True, True, False):
            self.plot_card(height=280, drawn=drawn)
        self.outputs.append(self.runs_list)

    def draw(
        self, lang: str, *, disc_start: float | None, disc_factor: float | None, balance_run: str | None
    ) -> Updates:
        """The factor over the steps, the adaptive weight over gradients, and what the run logged of that."""
        from app.labs.losses.curves import adaptive_plot, adopt_plot, curves_plot

        if disc_start is None or disc_factor is None:
            raise RequestError("fault_number")
        plots, name = [adopt_plot(int(disc_start), float(disc_factor), lang), adaptive_plot(lang)], balance_run
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
        cards = self.plot_cards
        hidden: Updates = {} if len(plots) == len(cards) else {cards[-1].column: gr.update(visible=False)}
        return {**self.show(plots, lang), **hidden, self.note: note}
