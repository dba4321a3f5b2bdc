"""Train in the page: a small autoencoder, really trained beside the page while its curves and samples move."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr

from app.i18n import say
from app.labs.common.panels.panel import Panel
from app.labs.losses.runs import load_run
from app.labs.losses.training import STEPS, TRAINING, Plan, Progress
from app.schemas import RequestError
from app.widgets.events import QUIET, Updates, language
from app.widgets.status import file_uri, line_html, safe

TICK_SECONDS = 2.0
VISIBLE = "(seen) => [document.getElementById('panel-training')?.offsetParent != null]"


class TrainHere(Panel):
    """Start and stop; the view follows the one run there may be, whoever started it."""

    key = "training"

    def lay_controls(self) -> None:
        """Steps, the step at which the discriminator sets in, Start and Stop."""
        low, high = STEPS
        self.slider("train_steps", low, high, 600, 10)
        self.slider("train_disc", 0, high, 400, 10)
        make = self.translation.make
        with gr.Row(elem_classes="buttons"):
            self.run = make(gr.Button, {"value": "training_run"}, variant="primary", elem_id="training-run")
            self.stop = make(gr.Button, {"value": "stop"}, interactive=False, elem_id="training-stop")

    def lay_view(self) -> None:
        """Samples, curves of loss and PSNR, and the timer that follows the run."""
        self.samples = gr.HTML(elem_id="training-samples")
        for _ in range(2):
            self.plot_card(height=280, drawn=False)
        self.timer = gr.Timer(TICK_SECONDS, active=False)
        self.seen = gr.Checkbox(True, visible="hidden", show_label=False)
        self.outputs += [self.samples, self.timer, self.run, self.stop]

    @property
    def redrawn_by(self) -> list[Any]:
        """Nothing: the timer draws."""
        return []

    @property
    def folder(self) -> Path:
        """Where runs of the page live: with the pictures, so that they go with them."""
        return self.service.outputs / "runs"

    def draw(self, lang: str, **_: float) -> Updates:
        """Where the run is: its line, first and newest sample, curves; nothing logged yet is no fault."""
        from app.labs.losses.curves import curves_plot

        now = TRAINING.progress()
        shown: Updates = {
            self.note: line_html(*_line(now, lang)),
            self.timer: gr.Timer(active=now.going),
            self.run: gr.update(interactive=not now.going),
            self.stop: gr.update(interactive=now.going),
        }
        if now.samples is not None:
            shown[self.samples] = _figures(now, lang)
        try:
            run = {now.name: load_run(now.name, {now.name: self.folder / now.name / "metrics.csv"})}
        except RequestError:  # nothing logged yet
            return shown
        for card, metric in zip(self.plot_cards, ("train/rec_loss", "val/psnr"), strict=True):
            if metric in run[now.name]:
                shown |= card.show(curves_plot(run, [metric], "step", 0.0, metric != "val/psnr", lang), lang)
        return shown

    def wire(self) -> None:
        """Events of Start, of Stop and of the timer."""
        outputs = [self.note, *self.outputs]
        self.run.click(self.started, list(self.inputs.values()), outputs, **QUIET)
        self.stop.click(self.stopped, None, outputs, **QUIET)
        self.timer.tick(self.ticked, [self.seen], outputs, js=VISIBLE, **QUIET)

    def started(self, request: gr.Request, *values: Any) -> Updates:
        """Begin, then show."""
        lang = language(request, self.service.settings.lang)

        def begin() -> Updates:
            asked = self.read(values)
            TRAINING.start(self.folder, Plan(int(asked["train_steps"]), int(asked["train_disc"])))
            return self.draw(lang)

        return self.guarded(lang, begin)

    def stopped(self, request: gr.Request) -> Updates:
        """End after the present step."""
        TRAINING.stop()
        return {**self._follow(request), self.stop: gr.update(interactive=False)}

    def ticked(self, request: gr.Request, seen: bool) -> Updates:
        """Follow while somebody looks."""
        return self._follow(request) if seen else {self.timer: gr.Timer(active=False)}

    def _follow(self, request: gr.Request) -> Updates:
        lang = language(request, self.service.settings.lang)
        return self.guarded(lang, lambda: self.draw(lang))


def _line(now: Progress, lang: str) -> tuple[str, str, float | None]:
    """Text, kind and fraction of the status line."""
    text = say(lang, f"training_{now.phase}")
    if now.phase == "idle":
        return text, "", None
    if now.phase == "failed":
        return say(lang, "training_said", text=text, message=now.message), "failed", None
    if now.step:
        text = say(lang, "training_step", text=text, step=now.step, steps=now.steps)
    if now.psnr is not None:
        before, after = (f"{value:.1f}" for value in now.psnr)
        text += " " + say(lang, "training_psnr", before=before, after=after)
    return text, "" if now.going else "done", now.step / now.steps if now.going else None


def _figures(now: Progress, lang: str) -> str:
    """The first and the newest sample: held-out drawings above, reconstructions below."""
    assert now.samples is not None
    cells = ""
    for path in dict.fromkeys(now.samples):
        name = safe(say(lang, "at_step", step=str(int(path.stem))))
        cells += f'<figure><img src="{file_uri(path)}" alt="{name}"><figcaption>{name}</figcaption></figure>'
    return f'<div class="figures smooth">{cells}</div>'
