"""Curves of real runs, live while one is going, and the diffusion loss by timestep."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gradio as gr

from app.labs.common.panels.panel import Panel
from app.labs.losses.runs import alive, find_runs, load_run, metrics_of, run_title, stamp
from app.schemas import RequestError
from app.widgets.events import QUIET, Updates, language
from app.widgets.status import fault_html

LIVE_SECONDS = 3.0  # how often a run that is going is looked at
METRICS = (  # what the runs of this project log; a run may have others, which are offered once it is chosen
    "train/loss_simple", "val/loss_simple", "train/loss_vlb", "val/loss_vlb", "train/loss", "val/loss",
    "train/total_loss", "train/rec_loss", "train/nll_loss", "train/kl_loss", "train/g_loss", "train/disc_loss",
    "train/d_weight", "train/disc_factor", "train/logits_real", "train/logits_fake", "val/rec_loss", "val/psnr",
    "val/ssim", "aeloss", "discloss", "grad_norm", "lr_factor", "samples_per_second",
)  # fmt: skip
OVER = {over: f"over_{over}" for over in ("step", "minutes")}
VISIBLE = "(seen, ...rest) => [document.getElementById('panel-history')?.offsetParent != null, ...rest]"


class OfRuns(Panel):
    """A panel that shows runs by their names."""

    def runs(self) -> dict[str, Path]:
        """Those there are now."""
        return find_runs(self.service.settings.weights, self.service.outputs / "runs")

    def run_choice(self, name: str, part: str, **options: Any) -> None:
        """A list of the runs called `name` in links; at first the embedded model's `part` is chosen."""
        names, shipped = list(self.runs()), f"{self.service.settings.weights.stem}/{part}"
        first = shipped if shipped in names else next(iter(names), None)
        value = first if not options.get("multiselect") else [first] if first else []
        choices = self.titled(names, self.translation.lang)
        words = {"label": f"{name}_label"}
        self.runs_list = self.control(name, gr.Dropdown, words, choices=choices, value=value, **options)

    def titled(self, names: Sequence[str], lang: str) -> list[tuple[str, str]]:
        """Choices that people read by their titles."""
        return [(run_title(name, lang), name) for name in names]

    def redraw(self, request: gr.Request, *values: Any) -> Updates:
        """The list is brought up to date after a fault too; what is chosen stays on it even where its file has gone."""
        chosen = values[list(self.inputs.values()).index(self.runs_list)]
        names = chosen if isinstance(chosen, list) else [chosen] if chosen else []
        choices = list(dict.fromkeys([*self.runs(), *names]))
        lang = language(request, self.service.settings.lang)
        return {self.runs_list: gr.update(choices=self.titled(choices, lang)), **super().redraw(request, *values)}


class History(OfRuns):
    """Curves of several runs. While the tab is seen and a file grows, a timer redraws them."""

    key = "history"
    late_choices = ("runs", "metrics")

    def lay_controls(self) -> None:
        """Runs, metrics, the axis (steps or minutes), smoothing 0…0.99, and a logarithmic scale."""
        self.run_choice("runs", "diffusion", multiselect=True)
        self.metrics_list = self.control(
            "metrics",
            gr.Dropdown,
            {"label": "metrics_label", "info": "metrics_info"},
            choices=list(METRICS),
            multiselect=True,
            value=["train/loss_simple", "val/loss_simple"],
        )
        self.control("over", gr.Radio, {"label": "over_label", "choices": OVER}, value="step")
        self.slider("smoothing", 0, 0.99, 0.6, 0.01)
        self.control("log", gr.Checkbox, {"label": "log_label"}, value=False)

    def lay_view(self) -> None:
        """A plot, and the timer that redraws it while a file grows."""
        self.card = self.plot_card(height=400)
        self.timer = gr.Timer(LIVE_SECONDS, active=False)
        self.seen = gr.Checkbox(True, visible="hidden", show_label=False)
        self.stamp = gr.State("")
        self.outputs += [self.runs_list, self.metrics_list, self.timer, self.stamp]

    def draw(
        self,
        lang: str,
        *,
        runs: list[str] | None,
        metrics: list[str] | None,
        over: str,
        smoothing: float,
        log: bool,
    ) -> Updates:
        """The runs' curves; the metrics that they have become the list's choices."""
        from app.labs.losses.curves import curves_plot

        names, metrics = runs or [], metrics or []
        files = self.runs()
        loaded = {name: load_run(name, files) for name in names}
        known = metrics_of(loaded.values()) if loaded else list(METRICS)
        updates: Updates = {
            self.metrics_list: gr.update(choices=list(dict.fromkeys([*known, *metrics]))),
            self.timer: gr.Timer(active=alive(names, files)),
            self.stamp: stamp(names, files),
        }
        try:
            plot = curves_plot(loaded, metrics, over, float(smoothing), log, lang)
        except RequestError as error:  # the list still offers what these runs have
            return {**updates, self.note: fault_html(error, lang)}
        return {**updates, **self.card.show(plot, lang)}

    def wire(self) -> None:
        """The timer's event, asked only while the tab is seen."""
        inputs = [self.seen, self.stamp, *self.inputs.values()]
        self.timer.tick(self.ticked, inputs, [self.note, *self.outputs], js=VISIBLE, **QUIET)

    def ticked(self, request: gr.Request, seen: bool, before: str, *values: Any) -> Updates:
        """Redraw where a file has changed; rest where none grows any more or nobody looks."""
        names = dict(zip(self.inputs, values, strict=True))["runs"] or []
        files = self.runs()
        if not seen or not alive(names, files):
            return {self.timer: gr.Timer(active=False)}
        return {self.note: gr.skip()} if stamp(names, files) == before else self.redraw(request, *values)


class Bins(OfRuns):
    """Loss by timestep over training."""

    key = "bins"
    late_choices = ("bins_run",)

    def lay_controls(self) -> None:
        """A run, and a logarithmic scale."""
        self.run_choice("bins_run", "diffusion", filterable=False)
        self.control("bins_log", gr.Checkbox, {"label": "log_label"}, value=False, elem_id="bins-log")

    def lay_view(self) -> None:
        """Two plots."""
        self.plot_card()
        self.plot_card()
        self.outputs.append(self.runs_list)

    def draw(self, lang: str, *, bins_run: str | None, bins_log: bool) -> Updates:
        """The run's loss by timestep over training as a heat map, and some of its moments as curves."""
        from app.labs.losses.curves import bins_plots

        if bins_run is None:
            raise RequestError("fault_no_curve")
        return self.show(bins_plots(load_run(bins_run, self.runs()), bins_run, bins_log, lang), lang)
