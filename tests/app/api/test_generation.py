"""From a request to its jobs."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from app.api.generation import start_jobs
from app.engine import Job, Requester
from app.security.clients import COOKIE
from ldm_core.sampling import SamplingParams


def test_a_caller_who_leaves_while_jobs_are_submitted_leaves_none_behind(
    app: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    service, jobs = app.state.latent_lab.service, list[Job]()
    submit = service.submit

    def slowly(*request: Any, **about: Any) -> Job:
        time.sleep(0.2)
        jobs.append(submit(*request, **about))
        return jobs[-1]

    async def leave() -> None:
        wanted = SamplingParams("wait", steps=2, width=64, height=64)
        call = asyncio.create_task(start_jobs(service, Requester("me"), wanted, 2))
        await asyncio.sleep(0.1)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call

    monkeypatch.setattr(service, "submit", slowly)
    app.state.fake.gate.clear()
    asyncio.run(leave())
    app.state.fake.gate.set()
    assert jobs and all(job.cancelled.is_set() for job in jobs)


def test_jobs_of_one_address_are_counted_together_whatever_their_cookies(app: FastAPI) -> None:
    client, engine, jobs = TestClient(app), app.state.latent_lab.service.engine, list[Job]()
    for cookie in ("a" * 32, "b" * 32):
        headers = {"cookie": f"{COOKIE}={cookie}"}
        made = client.post("/v1/jobs", json={"prompt": "a", "steps": 1}, headers=headers).json()
        jobs.append(engine.get(made["id"]))
    one, other = jobs
    assert one.client != other.client and one.requester.account == other.requester.account != ""
