"""From a request to its jobs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from types import SimpleNamespace
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from app.api.dependencies import Caller
from app.api.generation import start_jobs
from app.api.generation import submit as submit_all
from app.api.live import Wanted, draw
from app.engine import Job, Requester
from app.security.clients import COOKIE
from ldm_core.sampling import SamplingParams


def leaves(call: Coroutine[Any, Any, None]) -> None:
    """Ask, and be gone while the jobs are submitted."""

    async def leave() -> None:
        asked = asyncio.create_task(call)
        await asyncio.sleep(0.1)
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked

    asyncio.run(leave())


@pytest.mark.parametrize("name", ["submit", "submit_work"])
def test_a_caller_who_leaves_while_jobs_are_submitted_leaves_none_behind(
    name: str, app: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    service, jobs, stopped = app.state.latent_lab.service, list[Job](), list[str]()
    submit, cancel = getattr(service, name), service.cancel

    def slowly(*request: Any, **about: Any) -> Job:
        time.sleep(0.2)
        jobs.append(submit(*request, **about))
        return jobs[-1]

    def stop(job_id: str, client: str) -> bool:
        stopped.append(job_id)
        return bool(cancel(job_id, client))

    async def ask() -> None:
        if name == "submit":
            wanted = SamplingParams("wait", steps=2, width=64, height=64)
            await start_jobs(service, lambda: submit_all(service, Requester("me"), wanted, 2, None, ""))
        else:
            who = Caller(service, Requester("me"), SimpleNamespace(app=app))  # type: ignore[arg-type]
            await draw(Wanted(page="a", settings={"prompt": "wait"}), who)

    monkeypatch.setattr(service, name, slowly)
    monkeypatch.setattr(service, "cancel", stop)
    monkeypatch.setattr("app.live.STEPS", 2)  # the most that this app makes
    app.state.fake.gate.clear()
    leaves(ask())
    app.state.fake.gate.set()
    assert stopped == [job.id for job in jobs] != []


def test_jobs_of_one_address_are_counted_together_whatever_their_cookies(app: FastAPI) -> None:
    client, engine, jobs = TestClient(app), app.state.latent_lab.service.engine, list[Job]()
    for cookie in ("a" * 32, "b" * 32):
        headers = {"cookie": f"{COOKIE}={cookie}"}
        made = client.post("/v1/jobs", json={"prompt": "a", "steps": 1}, headers=headers).json()
        jobs.append(engine.get(made["id"]))
    one, other = jobs
    assert one.client != other.client and one.requester.account == other.requester.account != ""
