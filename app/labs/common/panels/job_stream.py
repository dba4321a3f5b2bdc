"""A lab's longer question to the model, as the page watches it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from app.engine import Cancelled, Done, Event, Loading, Queued, Stepped, Work, follow
from app.i18n import say
from app.service import Service
from app.widgets.job_watchers import raise_fault
from app.widgets.status import line_html, waiting_html


@dataclass(frozen=True, eq=False)
class JobProgress:
    """The status line as HTML; `result` is there at the end."""

    line: str
    result: Any = None


async def stream_job(service: Service, work: Work[Any], steps: int, lang: str) -> AsyncIterator[JobProgress]:
    """Queue `work` and report on it to its end. A page that goes away cancels it; a fault raises RequestError."""
    job = service.submit_work(work, steps)
    try:
        async for _, event in follow(job):
            raise_fault(event)
            result = event.result if isinstance(event, Done) else None
            yield JobProgress(_line(event, lang), result)
    finally:
        if not job.done:
            service.cancel(job.id)


def _line(event: Event, lang: str) -> str:
    if isinstance(event, (Queued, Loading)):
        return waiting_html(event, lang)
    if isinstance(event, Stepped):
        return line_html(say(lang, "lab_step", i=event.i, n=event.n), fraction=event.i / event.n)
    if isinstance(event, Cancelled):
        return line_html(say(lang, "stopped", i=event.i, n=event.n))
    return line_html("")
