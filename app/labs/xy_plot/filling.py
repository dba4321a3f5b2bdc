"""A plan's cells made one after the other by the service's queue and pasted into its sheet."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from app.engine import Done, Event, Job, Loading, Queued, Stepped, Work
from app.i18n import duration, say
from app.labs.xy_plot.xy_plot import Cell, Plan
from app.labs.xy_plot.xy_sheet import Sheet
from app.schemas import GenerateResult
from app.service import Service
from app.widgets.job_watchers import JobSeries
from app.widgets.status import line_html, waiting_html
from ldm_core.images import Pixels, own_pixels

if TYPE_CHECKING:
    from ldm_core.pipeline import Pipeline


@dataclass(frozen=True)
class Seen:
    """Where a filling is, as a status line; `fresh`: another cell has been pasted."""

    line: str
    fresh: bool = False


def fill_all(plan: Plan) -> Work[Any]:
    """All cells of a plan as one job, which answers with their pictures uint8 [H,W,3]."""

    def work(pipe: Pipeline) -> Any:
        from app.labs.common.cross_schedule import sample_on_schedule

        pictures = []
        for cell in plan.cells:
            pictures.append((yield from sample_on_schedule(pipe, cell.request, cell.schedule)))
        return pictures

    return work


async def fill(service: Service, plan: Plan, sheet: Sheet, series: JobSeries, lang: str) -> AsyncIterator[Seen]:
    """Put the cells into the queue one after the other, so that others get their turn between two of them.

    A fault raises RequestError.
    """
    begun, walked = time.monotonic(), 0
    async with aclosing(series.run(partial(submit, service, cell) for cell in plan.cells)) as events:
        async for k, _, event in events:
            if isinstance(event, Done):
                sheet.paste(plan.cells[k], picture(event.result))
                walked += plan.cells[k].request.steps
                yield Seen(_line(event, k, plan, walked, begun, lang), fresh=True)
            elif isinstance(event, (Queued, Loading, Stepped)):
                yield Seen(_line(event, k, plan, walked, begun, lang))
    if series.stopped:
        yield Seen(line_html(say(lang, "sheet_stopped", filled=sheet.filled, cells=len(plan.cells))))
        return
    took = duration(lang, time.monotonic() - begun)
    yield Seen(line_html(say(lang, "sheet_done", cells=len(plan.cells), seconds=took), "done"))


def submit(service: Service, cell: Cell) -> Job:
    """A cell into the queue: as the Generate tab's own request where that can say it, else as a lab's question."""
    if cell.schedule == "uniform":
        return service.submit(cell.request)
    request = service.in_english(cell.request)  # as `submit` reads it

    def work(pipe: Pipeline) -> Any:
        from app.labs.common.cross_schedule import sample_on_schedule

        return sample_on_schedule(pipe, request, cell.schedule)

    return service.submit_work(work, request.steps)


def picture(result: GenerateResult | Pixels) -> Pixels:
    """What a finished cell left, uint8 [H,W,3]: its file's pixels, or those a question was answered with."""
    if isinstance(result, np.ndarray):
        return result
    return own_pixels(result.images[0].path)


def _line(event: Event, k: int, plan: Plan, walked: int, begun: float, lang: str) -> str:
    cell = say(lang, "sheet_cell", cell=k + 1, cells=len(plan.cells)) + " · "
    if isinstance(event, (Queued, Loading)):
        return waiting_html(event, lang, cell, walked / plan.steps)
    done = walked + (event.i if isinstance(event, Stepped) else 0)
    left = duration(lang, (time.monotonic() - begun) / max(done, 1) * (plan.steps - done))
    return line_html(cell + say(lang, "time_left", left=left), fraction=min(1.0, done / plan.steps))
