"""What page and HTTP both call: the loaded model, the engine, the files."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from app.engine import Done, Engine, Failed, Job, Quotas, Requester, Work
from app.i18n import Sentence
from app.keeping import FolderKeeper, HistoryKeeper
from app.logs import request_context, request_id
from app.models.folder import ModelFolder, NotReady
from app.models.loader import Loader, State
from app.models.pool import ModelPool
from app.schemas import RequestError, check_params
from app.security.clients import Clients
from app.settings import Settings
from ldm_core.config import MAX_SEED
from ldm_core.images import Pixels
from ldm_core.sampling import Limits, SamplingParams
from ldm_core.text.knowledge import Knowledge, Reading
from ldm_core.text.prompt_syntax import parse, plain

if TYPE_CHECKING:
    from ldm_core.pipeline import Pipeline
    from ldm_core.text.tokenizer import TokenCount

log = logging.getLogger(__name__)
T = TypeVar("T")
HELD_SECONDS = 30.0  # longest that recovered jobs wait for the page's import: beside them it takes half as long again


class Service:
    """One model, one engine."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        operator = Limits(
            max_steps=settings.max_steps,
            max_batch=settings.max_batch,
            max_side=settings.max_side,
            max_pixels=settings.max_pixels,
            prompt_chars=settings.max_prompt_chars,
        )
        self.clients = Clients(settings)
        # Whoever the page is serving in this context, nobody's client outside of any; ui.mount sets it.
        self.visitor: Callable[[], Requester] = lambda: Requester(request_id=request_id.get())
        self.models = ModelFolder(settings.weights, operator, scanned=settings.models is None)
        self.loader = Loader(settings, self.models, operator)
        self.pool = ModelPool(self.models.find, self.loader.load_other, lambda: self.engine.wake())
        find, folder = self.models.find, settings.data_dir
        self.keeper = FolderKeeper(settings, find) if folder is None else HistoryKeeper(settings, folder, find)
        self.history = self.keeper.history
        quotas = Quotas(settings.queue_size, settings.client_queue_size)
        self.engine = Engine(self.keeper, quotas, settings.strict)
        self.may_begin = threading.Event()  # set once the page is built; jobs recovered from the journal start then
        left = self.keeper.unfinished()
        for job in left:  # here before anybody asks for them
            self.engine.submit(job, promised=True)
        if not left:
            self.may_begin.set()

    @property
    def outputs(self) -> Path:
        """The folder of pictures, plots and runs."""
        return self.keeper.folder

    def start(self) -> None:
        """Load the model in the background; `state` tells how far it is."""
        threading.Thread(target=self._load, name="load", daemon=True).start()

    def _load(self) -> None:
        try:
            self.pool.own = self.loader.load_own()
            self.pool.room = self.settings.model_bytes - self.models.own.bytes
            self.engine.start(self.pool, lambda: self.may_begin.wait(HELD_SECONDS))
            self.loader.ready()
        except Exception as error:
            self.loader.failed(error)
            return
        self.loader.scan(self.pool.room)

    @property
    def state(self) -> State:
        """How far the page's own model is."""
        return self.loader.state

    @property
    def pipe(self) -> Pipeline | None:
        """The page's own model; None until pictures can be made."""
        return self.loader.pipe

    @property
    def knowledge(self) -> Knowledge | None:
        """What the page's own model knows, from the file beside its weights; None for an open vocabulary."""
        return self.models.own.knowledge

    def read_prompt(self, text: str, model: str = "") -> Reading | None:
        """A prompt as a model reads it, emoji and Chinese as English; None for an open vocabulary."""
        knowledge = self.models.find(model).knowledge
        return None if knowledge is None else knowledge.read(text)

    def in_english(self, params: SamplingParams, model: str = "") -> SamplingParams:
        """The request with its prompt as a model reads it."""
        reading = self.read_prompt(params.prompt, model)
        return params if reading is None else replace(params, prompt=reading.english)

    def count_tokens(self, text: str, model: str = "") -> TokenCount | None:
        """What a model's tokenizer makes of a prompt, its weights' signs apart; None while the model is loading."""
        file = self.models.find(model)
        own = self.pipe.tokenizer if self.pipe is not None else None
        tokenizer = own if file is self.models.own else file.tokenizer
        return None if tokenizer is None else tokenizer.count(plain(parse(text)))

    def limits_of(self, model: str) -> Limits:
        """What a model and the operator allow; RequestError where there is no such model."""
        return self.models.find(model).limits

    @property
    def limits(self) -> Limits:
        """What the page's own model allows; until it is loaded, what the operator does."""
        return self.models.own.limits

    def submit(
        self,
        params: SamplingParams,
        init_image: Pixels | None = None,
        mask: Pixels | None = None,
        model: str = "",
        requester: Requester | None = None,
    ) -> Job:
        """Check a request and put it into its client's line; RequestError, QueueFull or NotReady where that cannot be.

        `model` is any name of one of `models`, "" the page's own. `requester` is else whoever the page is serving; no
        job is durable where nothing is kept.
        """
        self._ready()
        file = self.models.find(model)
        check_params(params, file.limits)
        params = self.in_english(params, model)
        drawn = random.randint(0, MAX_SEED - params.batch + 1)
        params = params.resolved(drawn, file.limits.guidance_scale)
        asked, requester = "" if file is self.models.own else file.sha256, requester or self.visitor()
        requester = replace(requester, durable=requester.durable and self.history is not None)
        job = Job(params, init_image, mask, model=asked, requester=requester)
        self.keeper.accept(job)  # before anybody is told
        try:
            self.engine.submit(job)
        except RequestError:
            self.keeper.refuse(job)
            raise
        self._tell_accepted(job)
        return job

    def _tell_accepted(self, job: Job) -> None:
        """Log what was asked for; prompts are people's own."""
        r = job.request
        about = {"job": job.id, "client": job.client, "steps": r.steps, "pictures": r.batch, "sampler": r.sampler}
        prompt = {"prompt": r.prompt} if self.settings.log_prompts else {}
        with request_context(job.requester.request_id):
            log.info("job accepted", extra={"about": {**about, **prompt}})

    def submit_work(self, work: Work[T], steps: int = 1, model: str = "", requester: Requester | None = None) -> Job:
        """Queue a question to a model (its sha256, "" the page's own); no question is durable."""
        self._ready()
        requester = replace(requester or self.visitor(), durable=False)
        return self.engine.submit(Job(SamplingParams("", steps=steps), work=work, model=model, requester=requester))

    def run_work(self, work: Work[T]) -> T:
        """`submit_work` for what is answered at once: waits for the answer. RequestError where there is none."""
        end = self.submit_work(work).wait()
        if isinstance(end, Done):
            answer: T = end.result
            return answer
        raise RequestError("as_said", text=end.message) if isinstance(end, Failed) else RequestError("was_stopped")

    def _ready(self) -> None:
        if self.state.phase == "failed":
            raise NotReady("not_loaded", message=self.state.message)
        if self.pipe is None:
            raise NotReady("still_loading")

    def picture(self, name: str) -> Path | None:
        """The file of a finished picture of whoever the page is serving; None where it is gone or not theirs."""
        return self.keeper.of(name, self.visitor().client)

    def job(self, job_id: str, client: str = "") -> Job | None:
        """A client's own job (without `client`: of whoever the page is serving), None where it is not theirs."""
        job, client = self.engine.get(job_id), client or self.visitor().client
        return job if job is not None and client in ("", job.client) else None

    def job_beginning(self, start: str, client: str) -> str | None:
        """The id of a client's own job that begins so, also of an earlier process; None where there is none."""
        return self.engine.begins(start, client) or self.keeper.beginning(start, client)

    def cancel(self, job_id: str, client: str = "") -> bool:
        """Stop a client's own job at its next step."""
        return self.job(job_id, client) is not None and self.engine.cancel(job_id)

    def detach(self, job_id: str) -> None:
        """Nobody watches this job any more: it is given up after a while unless somebody comes back."""
        if job := self.engine.get(job_id):
            job.deadline = time.monotonic() + self.settings.detach_seconds

    def attach(self, job_id: str) -> Job | None:
        """Come back to one's own job."""
        if job := self.job(job_id):
            job.deadline = None
        return job

    def unready(self) -> Sentence | None:
        """Why no picture could be made and kept just now; None where one could."""
        if self.state.phase != "ready":
            return self.state.message
        return self.keeper.fault()

    def stop(self) -> None:
        """Take no more jobs and end those under way; those that are written down run again at the next start."""
        self.may_begin.set()
        self.engine.close()

    def close(self) -> None:
        """End everything; a temporary folder of pictures goes with it."""
        self.loader.close()
        self.stop()
        self.pool.close()
        self.keeper.close()
