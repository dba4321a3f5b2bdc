"""The Generate tab: layout, and the events that carry a job from the button to the picture."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import gradio as gr

from app.engine import Done, Job
from app.i18n import say
from app.metadata import read_png
from app.schemas import GenerateResult, RequestError, check_params
from app.service import Service
from app.ui.canvas_input import Canvas, for_canvas, picture_and_mask
from app.ui.form import Form, request_from, values_from
from app.ui.job_watchers import Watchers
from app.ui.picture import Stage, build_stage
from app.ui.status import Picture, line_html, source_html, tokens_html, view
from app.ui.translation import LOCAL, PRIVATE, Translation, language

log = logging.getLogger(__name__)
Updates = dict[Any, Any]

# What the browser shows before the server has answered: both buttons asleep, one word.
SENDING = """() => { const off = {__type__: "update", interactive: false};
return [off, off, window.latentLab.line("sending")]; }"""
STOPPING = """() => [{__type__: "update", interactive: false}, window.latentLab.line("stopping")]"""
IDLE = """() => [{__type__: "update", interactive: true}, {__type__: "update", interactive: false}]"""


class GenerateTab:
    """Built inside a gr.Blocks context."""

    def __init__(self, blocks: gr.Blocks, service: Service, translation: Translation) -> None:
        self.service = service
        self.lang = translation.lang
        self.watchers = Watchers(service)
        with gr.Column(elem_id="generate-tab"):
            self.form = Form(service.limits, translation)
            with gr.Column(elem_id="ask"):
                self.form.ask()
            with gr.Column(elem_id="picture"):
                self.stage: Stage = build_stage(translation)
            with gr.Column(elem_id="controls"):
                self.form.controls()
        # Both fixed, so that a job is found again after the server restarts; the id in it is no secret.
        self.job_id = gr.BrowserState(None, storage_key="latent-lab-job", secret="latent-lab")  # noqa: S106
        self._wire(blocks)

    def _wire(self, blocks: gr.Blocks) -> None:
        form, stage = self.form, self.stage
        buttons = [form.generate, form.stop]
        outputs = [
            *buttons,
            self.job_id,
            stage.line,
            stage.source,
            *stage.about_one,
            stage.gallery,
            stage.note,
            stage.history,
        ]

        form.generate.click(js=SENDING, outputs=[*buttons, stage.line], **LOCAL)
        running = form.generate.click(
            self.run, [stage.history, form.canvas, *form.fields], outputs, concurrency_limit=None, **PRIVATE
        )
        running.then(js=IDLE, outputs=buttons, **LOCAL)
        form.stop.click(js=STOPPING, outputs=[form.stop, stage.line], **LOCAL)
        form.stop.click(self.stop, self.job_id, None, concurrency_limit=None, **PRIVATE)

        form["prompt"].change(
            self.count_tokens, form["prompt"], form.tokens, trigger_mode="always_last", queue=False, **PRIVATE
        )
        form.restore.upload(self.restore, form.restore, [stage.line, *form.fields], **PRIVATE)
        refit = "() => window.latentLab.refitCanvas()"
        taken = form.use_shown.click(self.use_shown, stage.shown, [stage.line, form.canvas], **PRIVATE)
        taken.then(js=refit, **LOCAL)
        form.canvas.upload(js=refit, **LOCAL)
        stage.gallery.select(self.select, stage.history, [stage.line, *stage.about_one], **PRIVATE)

        found: dict[str, Any] = {"inputs": [self.job_id, stage.history], "outputs": [*outputs, *form.fields]}
        blocks.load(self.resume, **found, concurrency_limit=None, **PRIVATE)
        again = gr.Button(visible="hidden", elem_id="resume")  # pressed when a lost connection is found
        again.click(self.resume, **found, concurrency_limit=None, **PRIVATE).then(js=IDLE, outputs=buttons, **LOCAL)

    async def run(
        self, request: gr.Request, history: list[Picture], canvas: Canvas | None, *values: Any
    ) -> AsyncIterator[Updates]:
        """Generate: submit and watch. A lost tab detaches the job, Stop cancels it."""
        lang = language(request, self.lang)
        try:
            wanted = request_from(values)
            settings, limits = self.service.settings, self.service.limits
            check_params(wanted, limits)  # its size is the picture's, which is made next
            # in a thread: a large picture takes a second to decode, and others' previews must not wait for it
            size = (wanted.width, wanted.height)
            init, mask = await asyncio.to_thread(picture_and_mask, canvas, settings, limits, size)
            job = self.service.submit(wanted, init, mask)
        except RequestError as error:
            yield {self.stage.line: line_html(say(lang, "failed", message=error.sentence), "failed")}
            return
        except Exception:
            log.exception("a request could not be submitted")
            yield {self.stage.line: line_html(say(lang, "unexpected"), "failed")}
            return
        async for updates in self.watch(job, history, lang):
            yield updates

    async def watch(self, job: Job, history: list[Picture], lang: str) -> AsyncIterator[Updates]:
        """A job's events as updates of the page, from its id to its pictures. Its end is the buttons' caller's."""
        start: Updates = {self.job_id: job.id, self.stage.source: source_html(job, lang)}
        yield start | self.stage.forget() | ({} if job.done else self._buttons(running=True))
        events = self.watchers.watch(job)
        try:
            async for event in events:
                seen = view(event, job.request, lang)
                updates: Updates = {self.stage.line: seen.line}
                if seen.frame is not None:
                    updates[self.stage.frame] = seen.frame
                if isinstance(event, Done):
                    updates |= self.finish(event.result, history, lang)
                yield updates
        finally:
            await events.aclose()  # type: ignore[attr-defined]  # an async generator: a lost tab is noticed at once

    def _buttons(self, running: bool) -> Updates:
        return {self.form.generate: gr.update(interactive=not running), self.form.stop: gr.update(interactive=running)}

    def finish(self, result: GenerateResult, history: list[Picture], lang: str) -> Updates:
        """Updates for a finished job; the frame is already the view's."""
        pictures = [Picture.of(image, result) for image in result.images]
        return self.stage.show(pictures[0], lang, with_frame=False) | self.stage.gather(pictures, history)

    async def resume(self, job_id: str | None, history: list[Picture], request: gr.Request) -> AsyncIterator[Updates]:
        """A page that opens or reconnects goes on with the job it was watching.

        Where there is none it leaves the buttons alone: this answer may come after the person has pressed Generate.
        """
        job = self.service.attach(job_id) if isinstance(job_id, str) else None
        if job is None or not _pictures_left(job):
            yield {self.stage.history: history}
            return
        ran = not job.done
        lang = language(request, self.lang)
        yield dict(zip(self.form.fields, values_from(job.request, self.service.limits), strict=True))
        async for updates in self.watch(job, history, lang):
            yield updates
        if ran:
            yield self._buttons(running=False)

    def stop(self, job_id: str | None) -> None:
        """Cancel the job this page watches."""
        if isinstance(job_id, str):
            self.service.cancel(job_id)

    def count_tokens(self, prompt: str, request: gr.Request) -> str:
        """The counter under the prompt."""
        return tokens_html(self.service.count_tokens(prompt or ""), language(request, self.lang))

    def restore(self, file: str | None, request: gr.Request) -> Updates:
        """Fill the form from a PNG's settings."""
        lang = language(request, self.lang)
        if file is None:
            return {}
        try:
            made, _ = read_png(Path(file))
            check_params(made, self.service.limits)
        except RequestError as error:
            return {self.stage.line: line_html(error.sentence.says(lang), "failed")}
        filled = dict(zip(self.form.fields, values_from(made, self.service.limits), strict=True))
        return {self.stage.line: line_html(say(lang, "restored"), "done"), **filled}

    def use_shown(self, shown: Picture | None, request: gr.Request) -> Updates:
        """Put the picture shown onto the canvas."""
        if shown is None or not Path(shown.path).exists():
            text = say(language(request, self.lang), "nothing_to_use" if shown is None else "gone")
            return {self.stage.line: line_html(text, "failed")}
        return {self.form.canvas: for_canvas(Path(shown.path))}

    def select(self, history: list[Picture], event: gr.SelectData, request: gr.Request) -> Updates:
        """Show one of the session's pictures."""
        picture, lang = history[int(event.index)], language(request, self.lang)
        if not Path(picture.path).exists():
            return {self.stage.line: line_html(say(lang, "gone"), "failed")}
        return self.stage.show(picture, lang)


def _pictures_left(job: Job) -> bool:
    """Whether a job that is done still has its files; old ones are cleaned up."""
    last = job.events[-1] if job.done else None
    return not isinstance(last, Done) or all(image.path.exists() for image in last.result.images)
