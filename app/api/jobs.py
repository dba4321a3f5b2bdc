"""Jobs that outlive a connection: /v1/jobs, their events, and their end."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, Header, Response
from sse_starlette import EventSourceResponse

from app.api import encoding, generation
from app.api.dependencies import AppState, Caller, CallerDep
from app.api.errors import ApiError
from app.api.files import signed_url
from app.api.generation import InitImage
from app.api.schemas import ERRORS, JobAnswer, JobImage, JobRequest, event_stream
from app.engine import Cancelled, Done, Event, Failed, Interrupted, Job, Loading, Queued, Started, Stepped, follow
from app.history import JobRecord, Record
from app.schemas import GeneratedImage, RequestError, check_params, read_params

router = APIRouter(prefix="/v1/jobs", responses=ERRORS, tags=["jobs"])
STOP_SECONDS = 1.0  # how long DELETE waits for the end it has asked for
NAMES = {
    Queued: "queued",
    Loading: "loading",
    Started: "started",
    Stepped: "step",
    Done: "done",
    Failed: "failed",
    Cancelled: "cancelled",
}


@router.post("", status_code=202)
async def create(
    wanted: JobRequest,
    who: CallerDep,
    response: Response,
    idempotency_key: Annotated[str | None, Header(max_length=256)] = None,
) -> JobAnswer:
    """Queue a generation. Only DELETE stops it, never a closed connection."""
    answer = await asyncio.to_thread(_create, wanted, who, idempotency_key)
    response.headers["Location"] = f"{who.service.settings.root_path}/v1/jobs/{answer.id}"
    return answer


def _create(wanted: JobRequest, who: Caller, key: str | None) -> JobAnswer:
    if wanted.mask and not wanted.init_image:
        raise ApiError(400, "invalid", "mask: a mask needs an init_image.", "mask")
    if key is None:
        return describe(who, _submit(wanted, who))
    begin, rest = _digest(who.client, key), _digest(wanted.model_dump_json())
    with AppState.of(who.request.app).idempotency:
        if (known := who.service.job_beginning(begin, who.client)) is None:
            return describe(who, _submit(wanted, who, begin + rest))
    if known != begin + rest:
        raise ApiError(409, "idempotency_conflict", "This Idempotency-Key was used for another request.")
    return state(known, who)


def _digest(*parts: str) -> str:
    """Half a job's id: the same of the same key, and of the same body, also in the next process."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def _submit(wanted: JobRequest, who: Caller, job_id: str = "") -> Job:
    values = wanted.model_dump(exclude={"init_image", "mask", "user", "model"}, exclude_none=True)
    request = read_params(values)
    image = encoding.from_base64(who, wanted.init_image, "init_image") if wanted.init_image else None
    mask = encoding.from_base64(who, wanted.mask, "mask") if wanted.mask else None
    check_params(request, who.service.limits_of(wanted.model))
    requester = replace(who.requester, user=wanted.user or "", durable=True, job_id=job_id)
    start = InitImage(image, mask)
    [job] = generation.submit(who.service, requester, request, request.batch, start, wanted.model)
    return job


@router.get("")
def running(who: CallerDep) -> list[JobAnswer]:
    """The caller's jobs that have not ended."""
    return [describe(who, job) for job in who.service.engine.jobs(who.client) if job.work is None]


@router.get("/{job_id}")
def state(job_id: str, who: CallerDep) -> JobAnswer:
    """Where a job stands, and its pictures when it is done; also one of an earlier process, where a history is kept."""
    job = _find(job_id, who)
    return describe(who, job) if isinstance(job, Job) else _past(who, job)


@router.get("/{job_id}/events", response_class=EventSourceResponse, responses=event_stream(*NAMES.values()))
async def events(
    job_id: str, who: CallerDep, last_event_id: Annotated[str | None, Header()] = None
) -> EventSourceResponse:
    """Server-sent events from the beginning, or from after Last-Event-ID; `step` carries previews as base64 PNG.

    Of a job that has ended the end is told again: close the stream at it. Of one that ended in an earlier process only
    the end is told.
    """
    job = await asyncio.to_thread(_find, job_id, who)
    if not isinstance(job, Job):
        return EventSourceResponse(_end_event(await asyncio.to_thread(_past, who, job)))
    seen = re.fullmatch(r"[0-9]{1,18}", last_event_id or "")  # int() refuses thousands of digits
    cursor = int(seen[0]) if seen else 0
    if cursor > len(job.events):  # a number of another process
        cursor = 0
    if job.done:  # the end is told to whoever asks: a second run may have ended with the number seen last in the first
        cursor = min(cursor, len(job.events) - 1)
    return EventSourceResponse(_stream(who, job, cursor))


async def _stream(who: Caller, job: Job, cursor: int) -> AsyncIterator[dict[str, str]]:
    async for number, event in follow(job, cursor):
        if isinstance(event, Interrupted):
            return  # the next process tells the end
        yield {"id": str(number), "event": NAMES[type(event)], "data": json.dumps(_body(who, event))}


async def _end_event(job: JobAnswer) -> AsyncIterator[dict[str, str]]:
    """The last event of a job whose others are forgotten."""
    name = "failed" if job.status == "interrupted" else job.status
    bodies: dict[str, dict[str, Any]] = {
        "done": {"images": [image.model_dump() for image in job.images]},
        "failed": {"message": job.message or ""},
    }
    yield {"id": "1", "event": name, "data": json.dumps(bodies.get(name, {"i": job.i, "n": job.n}))}


@router.delete("/{job_id}")
async def delete(job_id: str, who: CallerDep) -> JobAnswer:
    """Stop a job at its next step; of one that has ended, say how."""
    job = await asyncio.to_thread(_find, job_id, who)
    if not isinstance(job, Job):
        return await asyncio.to_thread(_past, who, job)
    who.service.cancel(job_id, who.client)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(STOP_SECONDS):
            async for _ in follow(job, len(job.events)):
                pass
    return describe(who, job)


def _find(job_id: str, who: Caller) -> Job | JobRecord:
    """The caller's own job, or what the journal has of it; 404 where it is not theirs or not there."""
    job, history = who.service.job(job_id, who.client), who.service.history
    if job is not None and job.work is None:
        return job
    past = history.journal.job(job_id, who.client) if history is not None else None
    if past is None:
        raise ApiError(404, "not_found", "There is no such job.")
    return past


def _body(who: Caller, event: Event) -> dict[str, Any]:
    if isinstance(event, Queued):
        return {"position": event.position, "seconds_left": event.wait_seconds}
    if isinstance(event, Loading):
        return {"model": event.model, "progress": event.progress}
    if isinstance(event, Stepped):
        preview = event.preview
        shown = {} if preview is None else {"preview": encoding.as_base64(encoding.encode_preview(preview))}
        return {"i": event.i, "n": event.n, "t": event.t, "seconds_left": event.seconds_left, **shown}
    if isinstance(event, Done):
        return {"images": [image.model_dump() for image in _images(who, event)]}
    if isinstance(event, Failed):
        return {"message": str(event.message)}
    if isinstance(event, Cancelled):
        return {"i": event.i, "n": event.n}
    return {"n": event.n} if isinstance(event, Started) else {}


def _past(who: Caller, job: JobRecord) -> JobAnswer:
    assert who.service.history is not None
    images = [_image(who, image.name, image) for image in who.service.history.images_of(job.id, who.client)]
    status = "queued" if job.state == "accepted" else job.state
    values = {"id": job.id, "request": job.request, "status": status, "message": job.message, "images": images}
    return JobAnswer.model_validate(values)


def _images(who: Caller, end: Done) -> list[JobImage]:
    return [_image(who, image.path.name, image) for image in end.result.images]


def _image(who: Caller, name: str, image: GeneratedImage | Record) -> JobImage:
    return JobImage(url=signed_url(who, name), seed=image.seed, width=image.width, height=image.height)


def describe(who: Caller, job: Job) -> JobAnswer:
    """A job's state in one value."""
    answer = JobAnswer(id=job.id, status="queued", model=_model(who, job), request=job.request.to_dict())
    for event in list(job.events):
        if isinstance(event, Queued):
            answer.position, answer.seconds_left = event.position, event.wait_seconds
        elif isinstance(event, Loading):
            answer.loading = event.progress
        elif isinstance(event, Started):
            answer.status, answer.n = "running", event.n
        elif isinstance(event, Stepped):
            answer.i, answer.n, answer.seconds_left = event.i, event.n, event.seconds_left
        elif isinstance(event, Done):
            answer.status, answer.seconds_left, answer.images = "done", None, _images(who, event)
        elif isinstance(event, Failed):
            answer.status, answer.seconds_left, answer.message = "failed", None, str(event.message)
        else:
            answer.status, answer.seconds_left = "queued" if isinstance(event, Interrupted) else "cancelled", None
    if answer.status != "queued":
        answer.position = answer.loading = None
    return answer


def _model(who: Caller, job: Job) -> str | None:
    """The name of a job's model; None where it is not known yet, or not any more."""
    try:
        return who.service.models.find(job.model).name
    except RequestError:
        return None
