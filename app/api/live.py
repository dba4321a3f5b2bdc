"""The page's own way to Live: a picture back while the person still types. No part of the API, so it needs no key."""

from __future__ import annotations

import asyncio
from io import BytesIO
from typing import Annotated, Any

from fastapi import APIRouter, Depends
from PIL import Image
from pydantic import BaseModel, Field
from starlette.responses import JSONResponse, Response

from app.api import calls
from app.api.calls import Caller, identified
from app.engine import Cancelled, Done, Failed, Job
from app.live import TRIAL, Live, LiveOff, Sketch
from app.schemas import RequestError, read_params

router = APIRouter(prefix="/live", include_in_schema=False)


class Wanted(BaseModel):
    """What a page wants drawn."""

    page: str = Field(max_length=64)
    settings: dict[str, Any]


Visiting = Annotated[Caller, Depends(identified)]


@router.get("")
async def offered(who: Visiting) -> Response:
    """Whether the switch is worth showing; measured by one sketch where none was made yet."""
    live: Live = who.request.app.state.live
    if live.untried:
        await _sketch(who, "trial", TRIAL)
    return JSONResponse({"offered": live.slow is False})


@router.post("")
async def draw(wanted: Wanted, who: Visiting) -> Response:
    """A sketch as PNG; 204 where a later one took its place, 503 with the reason where Live is to be switched off."""
    values = {name: value for name, value in wanted.settings.items() if value is not None}
    return await _sketch(who, wanted.page, read_params(values))


async def _sketch(who: Caller, page: str, params: Any) -> Response:
    live: Live = who.request.app.state.live
    try:
        job = await asyncio.to_thread(live.start, params, who.client, page)
        end = await _end(who, job)
    except LiveOff as error:
        return JSONResponse({"reason": error.sentence.key}, 503)
    if isinstance(end, Cancelled):
        return Response(status_code=204)
    if isinstance(end, Failed):
        raise RequestError("as_said", text=end.message)
    sketch: Sketch | None = end.result
    if sketch is None:
        return JSONResponse({"reason": "live_slow"}, 503)
    content = await asyncio.to_thread(_png, sketch)
    return Response(content, media_type="image/png", headers={"X-Seconds": f"{sketch.seconds:.2f}"})


async def _end(who: Caller, job: Job) -> Done | Failed | Cancelled:
    """How the job ended; a page that goes away, or asks again, ends it."""
    try:
        async for _ in calls.events(who, job):
            pass
    finally:
        who.service.cancel(job.id, who.client)
    end = job.events[-1]
    assert isinstance(end, (Done, Failed, Cancelled))
    return end


def _png(sketch: Sketch) -> bytes:
    buffer = BytesIO()
    Image.fromarray(sketch.pixels).save(buffer, format="PNG", compress_level=1)
    return buffer.getvalue()
