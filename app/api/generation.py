"""From a checked request to its pictures."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from app.api.errors import STATUS, ApiError
from app.engine import Cancelled, Done, Failed, Job, Requester, follow
from app.images import fit, fit_mask
from app.schemas import GeneratedImage, read_params
from app.service import Service
from ldm_core.config import MAX_SEED
from ldm_core.sampling import Limits, SamplingParams


@dataclass(frozen=True)
class InitImage:
    """What a generation starts from, if not from noise."""

    image: Image.Image | None = None
    mask: Image.Image | None = None  # white is repainted
    crop: bool = True  # to the size that is made; else both are stretched


def model_size(limits: Limits, width: int, height: int) -> tuple[int, int]:
    """The size a picture of width × height is made at: as asked where the model was trained for it, else of its area.

    Both are multiples of the model's own; whoever asked gets the picture scaled.
    """
    scale = min(1.0, limits.image_size / (width * height) ** 0.5)
    multiple = limits.size_multiple
    most = limits.max_side // multiple
    made = [min(most, max(1, round(side * scale / multiple))) * multiple for side in (width, height)]
    return made[0], made[1]


async def start_jobs(service: Service, start: Callable[[], list[Job]]) -> list[Job]:
    """The jobs that `start` puts into the queue, in a thread. A caller who leaves meanwhile leaves none behind."""
    submitting = asyncio.ensure_future(asyncio.to_thread(start))
    try:
        return await asyncio.shield(submitting)
    except asyncio.CancelledError:
        cancel(service, await submitting)
        raise


def submit(
    service: Service, requester: Requester, request: SamplingParams, n: int, start: InitImage | None, model: str
) -> list[Job]:
    """Jobs for n pictures of seeds in a row, each within the batch limit; all of them or none."""
    limits, start = service.limits_of(model), start or InitImage()
    size = request.width, request.height
    init = None if start.image is None else fit(start.image, limits, *size, start.crop)
    mask = None if start.mask is None else fit_mask(start.mask, limits, *size, start.crop)
    if request.seed is None:
        request = replace(request, seed=draw_seed(n))
    first = read_params({**request.to_dict(), "batch": 1})
    read_params({**first.to_dict(), "batch": n})  # the last picture's seed must be a seed too
    height, width = (first.height, first.width) if init is None else init.shape[:2]
    pixels = (width or limits.image_size) * (height or limits.image_size)
    together = max(1, min(limits.max_batch, limits.max_pixels // pixels))
    jobs: list[Job] = []
    try:
        while (made := sum(job.request.batch for job in jobs)) < n:
            part = replace(first.image(made), batch=min(together, n - made))
            jobs.append(service.submit(part, init, mask, model, requester))
    except ValueError:
        cancel(service, jobs)
        raise
    return jobs


def draw_seed(n: int) -> int:
    """A seed after which n − 1 more follow."""
    return int(np.random.default_rng().integers(0, MAX_SEED - n))


def cancel(service: Service, jobs: Sequence[Job]) -> None:
    """Stop jobs."""
    for job in jobs:
        service.cancel(job.id, job.client)


async def pictures(service: Service, jobs: Sequence[Job]) -> list[GeneratedImage]:
    """The jobs' pictures when all are done. A caller who leaves cancels them; ApiError where one fails."""
    await wait(service, jobs)
    return [image for job in jobs for image in result_or_error(job).result.images]


async def wait(service: Service, jobs: Sequence[Job]) -> None:
    """Wait till all jobs have ended; whatever ends the waiting, as a caller who leaves does, cancels them."""
    try:
        for job in jobs:
            async for _ in follow(job):
                pass
    finally:
        cancel(service, jobs)


def result_or_error(job: Job) -> Done:
    """A job's Done; ApiError for any other end."""
    end = job.events[-1]
    if isinstance(end, Failed):
        raise ApiError(STATUS.get(end.message.key, 400 if end.client_error else 500), end.message.key, str(end.message))
    if isinstance(end, Cancelled):
        raise ApiError(409, "cancelled", "The request was cancelled.")
    assert isinstance(end, Done)
    return end
