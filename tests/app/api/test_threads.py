"""The database is asked in threads: an event loop that waits for a disk keeps everybody waiting."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from app.engine import Requester
from app.history.database import Database
from app.labs.xy_plot.filling import fill
from app.labs.xy_plot.xy_plot import Cell, Plan
from app.ui.endpoint import _generate
from app.widgets.job_watchers import JobSeries
from ldm_core.sampling import SamplingParams


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Of every use of the database, whether an event loop ran in that thread."""
    asked: list[bool] = []
    read, write = Database.read, Database.write

    def noted_read(self: Database, *question: Any) -> Any:
        asked.append(asyncio._get_running_loop() is not None)
        return read(self, *question)

    @contextmanager
    def noted_write(self: Database, **options: bool) -> Iterator[Any]:
        asked.append(asyncio._get_running_loop() is not None)
        with write(self, **options) as db:
            yield db

    monkeypatch.setattr(Database, "read", noted_read)
    monkeypatch.setattr(Database, "write", noted_write)
    return asked


def test_over_http(app: FastAPI, asked: list[bool]) -> None:
    client = TestClient(app)
    job = client.post("/v1/jobs", json={"prompt": "a", "steps": 1}).json()["id"]
    assert "event: done" in client.get(f"/v1/jobs/{job}/events").text
    [made, *_] = client.get("/v1/history").json()
    client.get(f"/gradio_api/file={app.state.latent_lab.service.outputs / made['name']}")
    client.post("/v1/images/generations", json={"prompt": "a", "size": "64x64"})
    client.post("/sdapi/v1/interrupt")
    app.state.latent_lab.service.engine._jobs.clear()  # as in the next process
    assert client.get(f"/v1/jobs/{job}").json()["status"] == "done"
    assert "event: done" in client.get(f"/v1/jobs/{job}/events").text
    assert client.delete(f"/v1/jobs/{job}").json()["status"] == "done"
    assert client.delete(f"/v1/history/{made['name']}").status_code == 204
    assert len(asked) > 12 and not any(asked)


def test_over_the_page(app: FastAPI, asked: list[bool], monkeypatch: pytest.MonkeyPatch) -> None:
    service = app.state.latent_lab.service
    monkeypatch.setattr(service, "visitor", lambda: Requester("me", durable=True))
    asyncio.run(_generate(service)("a", steps=1))

    async def filled() -> None:
        request = SamplingParams("a", steps=1, seed=1)
        plan = Plan(request, (None, None, None), (Cell(0, 0, 0, request, "uniform"),))
        sheet: Any = SimpleNamespace(filled=1, paste=lambda *_: None)
        async for _ in fill(service, plan, sheet, JobSeries(service), "en"):
            pass

    asyncio.run(filled())
    assert len(asked) > 4 and not any(asked)
