"""Who watches a job, and what happens when nobody does."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from app.engine import Done, Job, Stepped
from app.widgets.job_watchers import Watchers
from ldm_core.sampling import SamplingParams
from tests.app.ui.fake import FakeService


def start(folder: Path, steps: int, seconds: float) -> tuple[FakeService, Watchers, Job]:
    service = FakeService(folder, step_seconds=seconds)
    return service, Watchers(service), service.submit(SamplingParams("a", steps=steps))  # type: ignore[arg-type]


def test_watching_to_the_end_detaches_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("app.widgets.job_watchers.MIN_SECONDS", 60.0)
    service, watchers, job = start(tmp_path, 40, 0.01)

    async def watch():
        return [event async for event in watchers.watch(job)]

    events = asyncio.run(watch())
    steps = [event for event in events if isinstance(event, Stepped)]
    assert isinstance(events[-1], Done) and steps[-1].i == 40 and steps[-1].preview is not None
    assert len(steps) <= 3  # two previews and the first step without one
    assert service.detached == []


def test_a_closed_tab_detaches_unless_another_watches(tmp_path: Path):
    service, watchers, job = start(tmp_path, 1000, 0.01)

    async def two_tabs():
        first, second = watchers.watch(job), watchers.watch(job)
        await anext(first)
        await anext(second)
        await first.aclose()  # type: ignore[attr-defined]
        assert service.detached == []
        await second.aclose()  # type: ignore[attr-defined]
        assert service.detached == [job.id]

    asyncio.run(two_tabs())
    service.cancel(job.id)


def test_a_preview_is_not_overtaken_by_the_steps_after_it(tmp_path: Path):
    """Steps that come faster than they are read: the first step's preview still arrives."""
    _, watchers, job = start(tmp_path, 30, 0.0)

    async def watch():
        await asyncio.sleep(0.1)
        return [event async for event in watchers.watch(job)]

    events = asyncio.run(watch())
    previews = [event.i for event in events if isinstance(event, Stepped) and event.preview is not None]
    assert previews[-1] == 30 and isinstance(events[-1], Done)
    job.events.insert(-1, Stepped(31, 31, 0.0, 0.0, None))  # a step without one after the last preview

    async def again():
        return [event async for event in watchers.watch(job)]

    previews = [event.i for event in asyncio.run(again()) if isinstance(event, Stepped) and event.preview is not None]
    assert previews == [30]
