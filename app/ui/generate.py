"""The Generate tab: layout, and the events that carry a job from the button to the picture."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import gradio as gr

from app.engine import Done, Interrupted, Job
from app.i18n import LANGUAGES, say
from app.models.folder import ModelFile
from app.schemas import GenerateResult, RequestError, check_params
from app.service import Service
from app.ui.canvas_input import picture_and_mask
from app.ui.examples import EXAMPLES
from app.ui.fields import request_from
from app.ui.form import Form
from app.ui.gradio_patches.canvas_files import Canvas
from app.ui.many_prompts import ManyPrompts
from app.ui.picture import Stage, as_of_now, build_stage, in_frame, pictures_of, recall
from app.ui.picture_cards import Picture, facts_html, frame_html, history_html
from app.ui.prompt_line import chips_html, reading_html, surprise
from app.ui.refill import Refill
from app.widgets.events import LOCAL, PRIVATE, Updates, however_it_ends, language
from app.widgets.job_watchers import Watchers
from app.widgets.status import fault_html, line_html, refusal_html, source_html, view
from app.widgets.translation import Translation
from ldm_core.sampling import Limits

log = logging.getLogger(__name__)
LOADING_SECONDS = 0.2  # between two looks whether the model is loaded

# What the browser shows before the server has answered: both buttons asleep, one word.
SENDING = """() => { window.latentLab.sent(); const off = {__type__: "update", interactive: false};
return [off, off, window.latentLab.line("sending")]; }"""
STOPPING = """() => [{__type__: "update", interactive: false}, window.latentLab.line("stopping")]"""
IDLE = """() => window.latentLab.wake(window.latentLab.ended())"""


class GenerateTab:
    """Built inside a gr.Blocks context."""

    def __init__(self, blocks: gr.Blocks, service: Service, translation: Translation) -> None:
        self.service = service
        self.lang = translation.lang
        self.watchers = Watchers(service)
        with gr.Column(elem_id="generate-tab"):
            self.form = Form(service.limits, translation, service.knowledge)
            with gr.Column(elem_id="ask"):
                self.form.ask(EXAMPLES)
            with gr.Column(elem_id="picture"):
                self.stage: Stage = build_stage(translation)
            with gr.Column(elem_id="controls"):
                self.form.controls()
                many = ManyPrompts(service, translation, self.form)
        blocks.load(js="() => window.latentLab.keptTab('many') ?? ''", outputs=many.lines, **LOCAL)
        self.job_id = gr.Textbox(visible="hidden", elem_id="job-id")
        self._wire_run(blocks)
        self._wire_prompt()
        self.refill = Refill(service, self.lang, self.form, self.stage)

    def _wire_run(self, blocks: gr.Blocks) -> None:
        """Generate, Stop, and finding a job again after a reload or a lost connection."""
        form, stage = self.form, self.stage
        buttons = [form.generate, form.stop]
        outputs = [*buttons, self.job_id, *stage.of_a_run]
        form.generate.click(js=SENDING, outputs=[*buttons, stage.line], **LOCAL)
        running = form.generate.click(
            self.run,
            [stage.history, stage.recalled, form.canvas, form.model, *form.fields],
            outputs,
            js="(history, _, ...asked) => [history, window.latentLab.keptPictures(), ...asked]",
            concurrency_limit=None,
            **PRIVATE,
        )
        however_it_ends(running, IDLE, buttons)
        wake = gr.Button(visible="hidden", elem_id="wake")  # pressed where a run could not even be asked for
        wake.click(js=IDLE, outputs=buttons, **LOCAL)
        form.stop.click(js=STOPPING, outputs=[form.stop, stage.line], **LOCAL)
        form.stop.click(self.stop, self.job_id, None, concurrency_limit=None, **PRIVATE)

        self.job_id.change(inputs=self.job_id, js="(id) => window.latentLab.keepJob(id)", **LOCAL)
        ran = gr.Checkbox(visible="hidden", show_label=False)  # whether this tab had a run when the page went
        kept = """async (id, history) => {
          const lab = window.latentLab;
          await lab.alone;
          return [lab.keptJob(id), history, lab.wasRunning(), lab.keptPictures()];
        }"""
        found: dict[str, Any] = {"inputs": [self.job_id, stage.history, ran, stage.recalled], "outputs": outputs}
        opened = blocks.load(self.resume, **found, js=kept, concurrency_limit=None, **PRIVATE)
        however_it_ends(opened, "() => window.latentLab.resumed()", buttons)
        again = gr.Button(visible="hidden", elem_id="resume")  # pressed when a lost connection is found
        back = again.click(self.resume, **found, js=kept, concurrency_limit=None, **PRIVATE)
        however_it_ends(back, IDLE, buttons)

    def _wire_prompt(self) -> None:
        """What is said about the prompt while it is typed, and where prompts come from besides typing."""
        form = self.form
        form["prompt"].change(
            self.read_prompt,
            [form["prompt"], form.model],
            form.reading,
            trigger_mode="always_last",
            queue=False,
            **PRIVATE,
        )
        about = [*form.limited, form.reading, form.chips]
        followed = [*about, form.model, self.stage.line]  # also by a file, a link or a reload
        form.model.change(self.follow_model, [form["prompt"], form.model], followed, **PRIVATE)
        gr.on([form.model.input, form.reset.click], self.choose, form.model, form.owned, **PRIVATE)
        drawn = gr.Textbox(visible="hidden")
        asked = form.surprise.click(self.surprise, form.model, drawn, queue=False, **PRIVATE)
        asked.then(inputs=drawn, js="(text) => window.latentLab.say(text)", **LOCAL)

    def follow_language(self, switched: Any) -> None:
        """Say of the pictures what is said of them in another language too; `switched` is its event."""
        stage = self.stage
        again = gr.Button(visible="hidden", elem_id="say-again")  # pressed after a run that began in another language
        told: dict[str, Any] = {
            "inputs": [self.job_id, stage.history, stage.recalled, stage.shown, stage.line],
            "outputs": [stage.history, stage.thumbs, stage.facts, stage.source, stage.frame, stage.line],
            "js": "(id, history, _, ...others) => [id, history, window.latentLab.keptPictures(), ...others]",
        }
        for event in (switched.then, again.click):
            event(self.say_again, **told, **PRIVATE)

    def say_again(
        self,
        job_id: str | None,
        history: list[Picture],
        kept: Any,
        shown: Picture | None,
        line: str | None,
        request: gr.Request,
    ) -> Updates:
        """What stands at pictures and at the last run's end; a line that is about something else stays."""
        lang, stage = language(request, self.lang), self.stage
        history = history or recall(self.service, kept)
        updates: Updates = {stage.history: history, stage.thumbs: history_html(history, lang)}
        if shown is not None:  # as it is by now: a favourite, say
            updates[stage.facts] = facts_html(next((p for p in history if p.path == shown.path), shown), lang)
        job = self.service.job(job_id) if job_id else None
        if job is None or not _pictures_left(job):
            return updates
        updates[stage.source] = source_html(job, lang)
        if job.done:
            ends = {code: view(job.events[-1], job.request, code) for code in LANGUAGES}
            if isinstance(end := job.events[-1], Done):
                updates[stage.frame] = frame_html(pictures_of(end.result, history), lang)
            if line in [end.line for end in ends.values()]:
                updates[stage.line] = ends[lang].line
        return updates

    async def run(
        self,
        request: gr.Request,
        history: list[Picture],
        kept: Any,
        canvas: Canvas | None,
        model: str | None,
        *values: Any,
    ) -> AsyncIterator[Updates]:
        """Generate: submit and watch. A lost tab detaches the job, Stop cancels it.

        `kept` are the tab's pictures, for a server that was started again behind a page that stood still.
        """
        lang = language(request, self.lang)
        try:
            wanted = request_from(values)
            settings, limits = self.service.settings, self.service.limits_of(model or "")
            check_params(wanted, limits)  # its size is the picture's, which is made next
            # in a thread: a large picture takes a second to decode, and others' previews must not wait for it
            size = (wanted.width, wanted.height)
            init, mask = await asyncio.to_thread(picture_and_mask, canvas, settings, limits, size)
            submit = partial(self.service.submit, wanted, init, mask, model=model or "")
            job = await asyncio.to_thread(submit)  # it is written down, which waits for the disk
        except RequestError as error:
            yield {self.stage.line: refusal_html(error, lang)}
            return
        except Exception:
            log.exception("a request could not be submitted")
            yield {self.stage.line: line_html(say(lang, "unexpected"), "failed")}
            return
        history = history or await asyncio.to_thread(recall, self.service, kept)
        async for updates in self.updates(job, history, lang):
            yield updates

    async def updates(self, job: Job, history: list[Picture], lang: str) -> AsyncIterator[Updates]:
        """A job's events as updates of the page, from its id to its pictures. Its end is the buttons' caller's."""
        start: Updates = {self.job_id: job.id, self.stage.source: source_html(job, lang)}
        running = {self.form.generate: gr.update(interactive=False), self.form.stop: gr.update(interactive=True)}
        yield start | ({} if job.done else running)
        events = self.watchers.watch(job)
        try:
            async for event in events:
                seen = view(event, job.request, lang)
                updates: Updates = {self.stage.line: seen.line}
                if seen.frame is not None:  # until then the last run's pictures stay, with what is said of them
                    updates |= {self.stage.frame: seen.frame} | self.stage.forget()
                if isinstance(event, Done):
                    updates |= await asyncio.to_thread(self.finish, event.result, history, lang)
                yield updates
        finally:
            await events.aclose()  # a lost tab is noticed at once

    def finish(self, result: GenerateResult, history: list[Picture], lang: str) -> Updates:
        """Updates for a finished job, with the tab's other pictures as they are by now: deleted, made favourites."""
        history = as_of_now(self.service, history)
        pictures = pictures_of(result, history)
        return self.stage.put_back(pictures, lang) | self.stage.gather(pictures, history, lang)

    async def resume(
        self, job_id: str | None, history: list[Picture], ran: bool, request: gr.Request, kept: Any = None
    ) -> AsyncIterator[Updates]:
        """A page that opens, or is connected again, goes on with the job its tab was watching.

        The browser wakes the buttons when this has ended, if they slept for it. What is typed stays as it is: the
        browser keeps the form, and a job has only what was sent. `ran`: the job had not ended when the page last saw
        it; a server that was started again knows it from its journal, or it is lost. `kept` are the tab's pictures,
        for a page that has none yet.
        """
        lang = language(request, self.lang)
        if not history and kept:
            history = await asyncio.to_thread(recall, self.service, kept)
            yield self.stage.gather([], history, lang) | self.stage.put_back(in_frame(kept, history), lang)
        while ran and self.service.state.phase in ("starting", "loading"):
            await asyncio.sleep(LOADING_SECONDS)
        job = self.service.attach(job_id) if job_id else None
        if job is None and ran:
            lost = say(lang, "job_lost" if job_id else "job_not_begun")
            yield {self.stage.line: line_html(lost, "failed"), self.job_id: ""}
            return
        if job is None or not _pictures_left(job):
            yield {self.stage.history: history}
            return
        unknown = not ran and not job.done  # a run whose stream broke: the page took that for its end
        async for updates in self.updates(job, history, lang):
            yield updates
        if unknown and not isinstance(job.events[-1], Interrupted):
            yield {self.form.generate: gr.update(interactive=True), self.form.stop: gr.update(interactive=False)}

    def stop(self, job_id: str | None) -> None:
        """Cancel the job this page watches."""
        if isinstance(job_id, str):
            self.service.cancel(job_id)

    def read_prompt(self, prompt: str, model: str | None, request: gr.Request) -> str:
        """The line under the prompt, as a model reads it."""
        prompt, model = prompt or "", model or ""
        try:
            reading = self.service.read_prompt(prompt, model)
            count = self.service.count_tokens(prompt if reading is None else reading.english, model)
        except RequestError:  # no such model any more; Generate says so
            return ""
        return reading_html(prompt, reading, count, language(request, self.lang))

    def follow_model(self, prompt: str, model: str | None, request: gr.Request) -> Updates:
        """Another model: its bounds, and what it knows. One that is not here gives way to the page's own, which the
        line says.
        """
        models, updates = self.service.models, self.limit(model) | self.about_prompt(prompt, model, request)
        others = [file.name for file in models.usable if file is not models.own]  # a link may name the page's own
        if not models.scanned or model in ("", *others):
            return updates
        updates[self.form.model] = ""
        try:
            models.find(model or "")
        except RequestError as error:
            updates[self.stage.line] = fault_html(error, language(request, self.lang))
        return updates

    def about_prompt(self, prompt: str, model: str | None, request: gr.Request) -> Updates:
        """The chips of what a model knows, and the prompt as it reads it."""
        knowledge = self._file(model).knowledge
        chips = gr.update(value=chips_html(knowledge, language(request, self.lang)), visible=knowledge is not None)
        return {self.form.reading: self.read_prompt(prompt, model, request), self.form.chips: chips}

    def choose(self, model: str | None) -> Updates:
        """A model that a person takes, or goes back to the defaults of, brings its own size and guidance."""
        return self.form.own_values(self._limits(model))

    def limit(self, model: str | None) -> Updates:
        """The form's bounds are a model's."""
        return self.form.limit(self._limits(model))

    def surprise(self, model: str | None, request: gr.Request) -> str:
        """A prompt that a model can draw, in the page's language where it reads that."""
        examples = [say("en", key) for key in EXAMPLES]
        return surprise(self._file(model).knowledge, examples, language(request, self.lang), random.Random())

    def _file(self, model: str | None) -> ModelFile:
        """A model of the page's list; one that has gone is the page's own."""
        names = [file.name for file in self.service.models.usable]
        return self.service.models.find(model if model in names else "")

    def _limits(self, model: str | None) -> Limits:
        file = self._file(model)
        return self.service.limits if file is self.service.models.own else file.limits


def _pictures_left(job: Job) -> bool:
    """Whether a job that is done still has its files; old ones are cleaned up."""
    last = job.events[-1] if job.done else None
    return not isinstance(last, Done) or all(image.path.exists() for image in last.result.images)
