"""The page's own way to Live: a picture back while the person still types. No part of the API, so it needs no key."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Depends
from pydantic import Field
from starlette.responses import JSONResponse, Response

from app.api import generation
from app.api.dependencies import AppState, Caller, get_caller
from app.api.schemas import Body
from app.engine import Cancelled
from app.live import TRIAL, LiveOff, Sketch
from app.schemas import read_params
from ldm_core.images import png_bytes

router = APIRouter(prefix="/live", include_in_schema=False)


class Wanted(Body):
    """What a page wants drawn."""

    page: str = Field(max_length=64)
    model: str = Field("", max_length=200)  # "" the page's own
    settings: dict[str, Any]


Visiting = Annotated[Caller, Depends(get_caller)]


@router.get("")
async def offered(who: Visiting) -> Response:
    """Whether the switch is worth showing; measured by one sketch where none was made yet."""
    live = AppState.of(who.request.app).live
    if live.untried:
        await _sketch(who, "trial", TRIAL)
    return JSONResponse({"offered": live.slow is False})


@router.post("")
async def draw(wanted: Wanted, who: Visiting) -> Response:
    """A sketch as PNG; 204 where a later one took its place, 503 with the reason where Live is to be switched off."""
    values = {name: value for name, value in wanted.settings.items() if value is not None}
    return await _sketch(who, wanted.page, read_params(values), wanted.model)


async def _sketch(who: Caller, page: str, params: Any, model: str = "") -> Response:
    live = AppState.of(who.request.app).live
    try:
        [job] = await generation.start_jobs(who.service, lambda: [live.start(params, who.requester, page, model)])
    except LiveOff as error:
        return JSONResponse({"reason": error.sentence.key}, 503)
    await generation.wait(who.service, [job])
    if isinstance(job.events[-1], Cancelled):  # the page asked again
        return Response(status_code=204)
    sketch: Sketch | None = generation.result_or_error(job).result
    if sketch is None:
        return JSONResponse({"reason": "live_slow"}, 503)
    content = await asyncio.to_thread(png_bytes, sketch.pixels)
    return Response(content, media_type="image/png", headers={"X-Seconds": f"{sketch.seconds:.2f}"})
