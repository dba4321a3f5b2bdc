"""A service without a model: the real queue around pictures painted in one colour."""

from __future__ import annotations

import time
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from app.engine import Engine, Job, Quotas, Requester, Stepped
from app.i18n import Sentence
from app.models.folder import ModelFolder
from app.models.loader import State
from app.schemas import GeneratedImage, GenerateResult, check_params
from app.security.clients import Clients
from app.settings import Settings
from ldm_core.metadata import write_png
from ldm_core.sampling import Limits, SamplingParams
from tests.app.engine.fake import Alone, FakeKeeper, FakeModel


@dataclass(frozen=True)
class Count:
    tokens: int
    limit: int
    truncated: str


class FakeService:
    """What the page uses of app.service.Service."""

    def __init__(self, folder: Path, step_seconds: float = 0.0, phase: str = "ready", lang: str = "en") -> None:
        self.settings = Settings(output_dir=folder, lang=lang, detach_seconds=0.2)
        self.clients, self.outputs = Clients(self.settings), folder
        self.state = State(phase, Sentence(f"state_{phase}"), "fake", "cpu", "float32", 1.0)  # type: ignore[arg-type]
        self.limits = Limits()
        self.step_seconds = step_seconds
        self.detached: list[str] = []
        self.engine = Engine(FakeKeeper(), Quotas(jobs=4))
        self.engine.start(Alone(FakeModel()))

    knowledge = None
    pipe = None
    models = ModelFolder(Path("fake"), Limits())
    history = None

    def visitor(self) -> Requester:
        return Requester()

    def picture(self, name: str) -> Path | None:
        path = self.outputs / name
        return path if path.is_file() else None

    def limits_of(self, model: str) -> Limits:
        return self.limits

    def read_prompt(self, text: str, model: str = "") -> None:
        return None

    def count_tokens(self, text: str, model: str = "") -> Count:
        words = text.split()
        return Count(len(words), 5, " ".join(words[5:]))

    def submit(
        self,
        request: SamplingParams,
        init_image: object = None,
        mask: object = None,
        model: str = "",
        requester: object = None,
    ) -> Job:
        check_params(request, self.limits)
        job = Job(request.resolved(0, self.limits.guidance_scale))
        job.work = lambda _pipe: self._work(job)
        return self.engine.submit(job)

    def cancel(self, job_id: str) -> bool:
        return self.engine.cancel(job_id)

    def detach(self, job_id: str) -> None:
        self.detached.append(job_id)

    def job(self, job_id: str) -> Job | None:
        return self.engine.get(job_id)

    attach = job

    def _work(self, job: Job) -> Generator[Stepped, None, GenerateResult]:
        r = job.request
        if r.prompt == "fail":
            raise ValueError("this prompt always fails")
        for i in range(1, r.steps + 1):
            time.sleep(self.step_seconds)
            preview = np.full((8, 8, 3), i, np.uint8) if i in (1, r.steps) else None
            yield Stepped(i, r.steps, 0.0, (r.steps - i) * self.step_seconds, preview)
            if r.prompt == "break":
                raise ValueError("this prompt fails in mid-run")
        images = []
        for k in range(r.batch):
            path = self.outputs / f"{job.id}-{k}.png"
            write_png(path, np.full((128, 128, 3), 200, np.uint8), r.image(k), "0" * 64, "test")
            images.append(GeneratedImage(path, r.image(k).seed or 0, 128, 128))
        return GenerateResult(r, tuple(images), 0.5, r.steps)


def asked_in(lang: str) -> Any:
    """A request of a page in this language."""
    return SimpleNamespace(query_params={"lang": lang})


def made(service: Any, prompt: str, client: str = "me", model: str = "one") -> str:
    """A picture in the history of a service; its file's name."""
    job = Job(SamplingParams(prompt, seed=7), requester=Requester(client, durable=True))
    path = service.history.pictures / f"{job.id[:12]}-7.png"
    write_png(path, np.zeros((8, 8, 3), np.uint8), job.request, "0" * 64, "test")
    service.history.finish(job, [GeneratedImage(path, 7, 8, 8)], model)
    return path.name
