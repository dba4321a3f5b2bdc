"""What every route needs: who calls, a checked request, a wait that ends when the caller leaves."""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from fastapi import Depends, Request
from PIL import Image

from app.api.errors import STATUS, ApiError
from app.engine import Cancelled, Done, Event, Failed, Job, follow
from app.images import fit, fit_mask, open_upload
from app.schemas import GeneratedImage, read_params
from app.service import Service
from ldm_core import metadata
from ldm_core.config import MAX_SEED
from ldm_core.images import PNG_SIGN, Pixels, own_picture
from ldm_core.sampling import Limits, SamplingParams

LEFT_SECONDS = 0.25  # how often is looked whether the caller is still there


@dataclass(frozen=True)
class Caller:
    """Who calls, and the service."""

    service: Service
    client: str
    request: Request

    async def gone(self) -> bool:
        """Whether the caller has hung up."""
        return await self.request.is_disconnected()


def caller(request: Request) -> Caller:
    """Let a client of the API in, or raise 401."""
    who = identified(request)
    if (refusal := who.service.clients.refusal(request.headers)) is not None:
        raise ApiError(401, "unauthorized", refusal)
    return who


def identified(request: Request) -> Caller:
    """Who calls, whether they may use the API or not."""
    service: Service = request.app.state.service
    address = request.client.host if request.client else ""
    return Caller(service, service.clients.of(request.headers, address), request)


Called = Annotated[Caller, Depends(caller)]


@dataclass(frozen=True)
class Starting:
    """What a generation starts from, if not from noise."""

    image: Image.Image | None = None
    mask: Image.Image | None = None  # white is repainted


def model_size(limits: Limits, width: int, height: int) -> tuple[int, int]:
    """The size a picture of width × height is made at: as asked where the model was trained for it, else of its area.

    Both are multiples of the model's own; whoever asked gets the picture scaled.
    """
    scale = min(1.0, limits.image_size / (width * height) ** 0.5)
    multiple = limits.size_multiple
    most = limits.max_side // multiple
    made = [min(most, max(1, round(side * scale / multiple))) * multiple for side in (width, height)]
    return made[0], made[1]


def submit(
    who: Caller, request: SamplingParams, n: int, start: Starting | None = None, model: str = "", **about: Any
) -> list[Job]:
    """Jobs for n pictures of seeds in a row, each within the batch limit; all of them or none."""
    service, limits, start = who.service, who.service.limits_of(model), start or Starting()
    size = request.width, request.height
    init = None if start.image is None else fit(start.image, limits, *size)
    mask = None if start.mask is None else fit_mask(start.mask, limits, *size)
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
            jobs.append(service.submit(part, init, mask, model=model, client=who.client, **about))
    except ValueError:
        cancel(who, jobs)
        raise
    return jobs


def draw_seed(n: int) -> int:
    """A seed after which n − 1 more follow."""
    return int(np.random.default_rng().integers(0, MAX_SEED - n))


def cancel(who: Caller, jobs: Sequence[Job]) -> None:
    """Stop jobs."""
    for job in jobs:
        who.service.cancel(job.id, who.client)


async def pictures(who: Caller, jobs: Sequence[Job]) -> list[GeneratedImage]:
    """The jobs' pictures when all are done. A caller who leaves cancels them; ApiError where one fails."""
    await wait(who, jobs)
    return [image for job in jobs for image in ended(job).result.images]


async def wait(who: Caller, jobs: Sequence[Job]) -> None:
    """Wait till all jobs have ended. A caller who leaves cancels them."""
    try:
        for job in jobs:
            async for _ in events(who, job):
                pass
    finally:
        cancel(who, jobs)


async def events(who: Caller, job: Job) -> AsyncIterator[Event]:
    """A job's events; 499 when the caller has left."""
    stream, looked = follow(job), time.monotonic()
    async with contextlib.aclosing(stream):
        while True:
            step = asyncio.ensure_future(anext(stream, None))
            try:
                while True:
                    there, _ = await asyncio.wait({step}, timeout=LEFT_SECONDS)
                    if not there or time.monotonic() - looked > LEFT_SECONDS:  # also where steps come without a pause
                        looked = time.monotonic()
                        if await who.gone():
                            raise ApiError(499, "cancelled", "The client has left.")
                    if there:
                        break
            finally:
                if not step.done():
                    step.cancel()
                    with contextlib.suppress(asyncio.CancelledError):
                        await step
            if (numbered := step.result()) is None:
                return
            yield numbered[1]


def ended(job: Job) -> Done:
    """A job's Done; ApiError for any other end."""
    end = job.events[-1]
    if isinstance(end, Failed):
        raise ApiError(STATUS.get(end.message.key, 400 if end.theirs else 500), end.message.key, str(end.message))
    if isinstance(end, Cancelled):
        raise ApiError(409, "cancelled", "The request was cancelled.")
    assert isinstance(end, Done)
    return end


def from_base64(who: Caller, text: str, param: str) -> Image.Image:
    """A picture from base64, with or without a data: prefix; bounded before it is decoded."""
    return opened(who, raw_from_base64(text, param))


def raw_from_base64(text: str, param: str) -> bytes:
    """The bytes; ApiError where it is none. Lines may be broken, as mail programs and `base64` break them."""
    try:
        return base64.b64decode("".join(text.rpartition(",")[2].split()), validate=True)
    except (binascii.Error, ValueError):
        raise ApiError(400, "invalid", f"{param} is not base64.", param) from None


def png_texts(who: Caller, content: bytes) -> dict[str, str]:
    """The text chunks of a PNG, none of another picture; RequestError for what is no picture."""
    if not content.startswith(PNG_SIGN):
        opened(who, content)
    return metadata.png_texts(content)


def opened(who: Caller, content: bytes) -> Image.Image:
    """An untrusted picture, RGB or RGBA. RequestError in one sentence for anything else."""
    return open_upload(BytesIO(content), who.service.settings)


def encoded(path: Path, size: tuple[int, int] | None, kind: str, quality: int = 100) -> bytes:
    """A finished picture as a png, jpeg or webp of this size; the file itself where it is that already."""
    content = path.read_bytes()
    with own_picture(BytesIO(content)) as picture:
        if kind == "png" and size in (None, picture.size):
            return content
        wanted = picture if size in (None, picture.size) else picture.resize(size, Image.Resampling.LANCZOS)
        buffer = BytesIO()
        options: dict[str, Any] = {"pnginfo": _info(picture)} if kind == "png" else {"quality": quality}
        wanted.convert("RGB").save(buffer, format=kind.upper(), **options)
    return buffer.getvalue()


def encoded_preview(pixels: Pixels, size: tuple[int, int] | None = None, kind: str = "png") -> bytes:
    """A preview as a file, scaled to `size` if one is given."""
    buffer, image = BytesIO(), Image.fromarray(pixels)
    (image.resize(size, Image.Resampling.BICUBIC) if size else image).save(buffer, format=kind.upper())
    return buffer.getvalue()


def as_base64(content: bytes) -> str:
    """Bytes as ASCII text."""
    return base64.b64encode(content).decode()


def _info(picture: Image.Image) -> Any:
    from PIL.PngImagePlugin import PngInfo

    info = PngInfo()
    for key, text in getattr(picture, "text", {}).items():
        info.add_itxt(key, text)
    return info
