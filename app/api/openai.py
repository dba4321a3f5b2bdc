"""OpenAI's Images API: /v1/images/generations, /v1/images/edits, /v1/models."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import Any

from fastapi import APIRouter, Request
from PIL import Image, ImageChops
from pydantic import ValidationError
from sse_starlette import EventSourceResponse
from starlette.datastructures import UploadFile

from app.api import encoding, generation
from app.api.dependencies import Caller, CallerDep
from app.api.errors import ApiError
from app.api.files import form_of, signed_url
from app.api.generation import InitImage
from app.api.schemas import (
    ERRORS,
    OPTIONS,
    QUALITY_STEPS,
    ImageData,
    ImagesAnswer,
    ImagesRequest,
    ModelCard,
    ModelList,
    event_stream,
)
from app.engine import Job, Stepped, follow
from app.images import as_mask, has_transparency
from app.schemas import GeneratedImage, read_params
from ldm_core.images import pictures_of
from ldm_core.sampling import Limits, SamplingParams

router = APIRouter(prefix="/v1", responses=ERRORS, tags=["openai"])
MOST_SIDE = 4096  # pixels to which a picture is scaled
BY_URL = "dall-e-"  # OpenAI's models that answer with addresses where nothing else is asked for
# OpenAI's models, which its clients ask for by default: the page's own answers
THEIRS = (BY_URL, "gpt-image-", "chatgpt-image-")
MOST_PICTURES = 16  # of an edit; the first is edited


def stream_responses(name: str) -> dict[int | str, dict[str, Any]]:
    """What a route answers with `stream`."""
    return event_stream(f"{name}.partial_image", f"{name}.completed", "error")


def edit_body() -> dict[str, Any]:
    """An edit's body for OpenAPI, which reads none off the route: files, and the fields of ImagesRequest as text."""
    schema, file = ImagesRequest.model_json_schema(), {"type": "string", "format": "binary"}
    schema["properties"] |= {"image": file, "image[]": {"type": "array", "items": file}, "mask": file}
    schema |= {"required": ["prompt"], "anyOf": [{"required": ["image"]}, {"required": ["image[]"]}]}
    return {"required": True, "content": {"multipart/form-data": {"schema": schema}}}


@router.get("/models")
def models(who: CallerDep) -> ModelList:
    """The page's own model and those of `--models`; a file that cannot be used is listed with its reason."""
    service = who.service
    loaded = (service.models.own.name, *service.pool.loaded)
    cards = [
        ModelCard(id=file.name, sha256=file.sha256, loaded=file.name in loaded, fault=file.fault or None)
        for file in service.models
    ]
    return ModelList(data=cards)


@router.get("/models/{name}")
def model(name: str, who: CallerDep) -> ModelCard:
    """One of them, by the name that the list gives it."""
    card = next((card for card in models(who).data if card.id == name), None)
    if card is None:
        raise ApiError(404, "no_model", f"There is no model {name!r} here.", "model")
    return card


@router.post(
    "/images/generations",
    response_model=ImagesAnswer,
    response_model_exclude_none=True,  # as OpenAI, whose answers have url or b64_json
    responses=stream_responses("image_generation"),
)
async def generations(wanted: ImagesRequest, who: CallerDep) -> Any:
    """Pictures from a prompt; with `stream`, server-sent partial pictures first."""
    return await _make(wanted, who, "image_generation", None)


@router.post(
    "/images/edits",
    response_model=ImagesAnswer,
    response_model_exclude_none=True,
    responses=stream_responses("image_edit"),
    openapi_extra={"requestBody": edit_body()},
)
async def edits(request: Request, who: CallerDep) -> Any:
    """A picture changed by a prompt: multipart `image` or `image[]`, and `mask` whose transparent part is repainted."""
    async with request.form(max_files=MOST_PICTURES + 1) as form:
        files = [f for name in ("image", "image[]") for f in form.getlist(name) if isinstance(f, UploadFile)]
        if not files:
            raise ApiError(400, "invalid", "image: a picture is needed.", "image")
        named = {name: value for name, value in form.items() if isinstance(value, str)}
        mask_file = form.get("mask")
        picture = await _read(who, files[0], "image")
        mask = await _read(who, mask_file, "mask") if isinstance(mask_file, UploadFile) else None
    try:
        wanted = ImagesRequest.model_validate(named)
    except ValidationError as error:
        first = error.errors()[0]
        field = str(first["loc"][0]) if first["loc"] else None
        raise ApiError(400, "invalid", f"{field}: {first['msg']}.", field) from None
    image = await asyncio.to_thread(encoding.open_image, who, picture)
    painted = None if mask is None else _repainted(await asyncio.to_thread(encoding.open_image, who, mask))
    return await _make(wanted, who, "image_edit", InitImage(image, painted))


async def _read(who: Caller, file: UploadFile, param: str) -> bytes:
    """An upload's bytes, which wait on the disk until their size is known."""
    most = who.service.settings.max_upload_bytes
    if file.size is None or file.size > most:
        raise ApiError(413, "too_large", f"{param}: at most {most / 1e6:.0f} MB.", param)
    return await file.read()


async def _make(wanted: ImagesRequest, who: Caller, name: str, start: InitImage | None) -> Any:
    if wanted.background == "transparent":
        raise ApiError(400, "unsupported", "background: this model draws no transparency.", "background")
    model = "" if (wanted.model or "").startswith(THEIRS) else wanted.model or ""
    limits = who.service.limits_of(model)
    asked = _size(wanted.size)
    made = generation.model_size(limits, *(asked or _auto_size(limits, start)))
    request, size = _request(wanted, limits, made), asked or made
    user = wanted.safety_identifier or wanted.user or ""
    requester = replace(who.requester, user=user, previews=wanted.partial_images > 0)
    jobs = await generation.start_jobs(
        who.service, lambda: generation.submit(who.service, requester, request, wanted.n, start, model)
    )
    if wanted.stream:
        return EventSourceResponse(_stream(wanted, who, name, jobs, size))
    images = await generation.pictures(who.service, jobs)
    data = [await asyncio.to_thread(_data, wanted, who, image, size) for image in images]
    return ImagesAnswer(
        created=int(time.time()),
        data=data,
        output_format=wanted.output_format,
        quality=wanted.quality,
        size=_wxh(*size),
    )


async def _stream(
    wanted: ImagesRequest, who: Caller, name: str, jobs: Sequence[Job], size: tuple[int, int]
) -> AsyncIterator[dict[str, str]]:
    """Partial pictures at equal distances of steps, then every picture; a client that leaves cancels."""
    about = {
        "size": _wxh(*size),
        "quality": wanted.quality,
        "background": "opaque",
        "output_format": wanted.output_format,
    }

    def event(kind: str, content: bytes, **more: Any) -> dict[str, str]:
        body = {"type": f"{name}.{kind}", "b64_json": encoding.as_base64(content), "created_at": int(time.time())}
        return {"event": f"{name}.{kind}", "data": json.dumps({**body, **about, **more})}

    try:
        for job in jobs:
            sent = 0
            async for _, seen in follow(job):
                if not isinstance(seen, Stepped) or seen.preview is None or sent == wanted.partial_images:
                    continue
                if seen.i / seen.n < sent / (wanted.partial_images + 1):
                    continue
                for k, tile in enumerate(pictures_of(seen.preview, job.request.batch)):
                    preview = await asyncio.to_thread(encoding.encode_preview, tile, size, wanted.output_format)
                    yield event("partial_image", preview, partial_image_index=sent, seed=job.request.image(k).seed)
                sent += 1
            for image in generation.result_or_error(job).result.images:
                how = wanted.output_format, wanted.output_compression
                content = await asyncio.to_thread(encoding.encode, image.path, size, *how)
                usage = {"input_tokens": 0, "output_tokens": 0, "total_tokens": 0}
                details = {"image_tokens": 0, "text_tokens": 0}
                yield event("completed", content, seed=image.seed, usage={**usage, "input_tokens_details": details})
    except ApiError as error:
        body = {"type": "error", "error": {"code": error.code, "message": error.message, "param": error.param}}
        yield {"event": "error", "data": json.dumps(body)}
    finally:
        generation.cancel(who.service, jobs)


def _request(wanted: ImagesRequest, limits: Limits, size: tuple[int, int]) -> SamplingParams:
    steps = wanted.num_inference_steps
    if steps is None:
        steps = min(QUALITY_STEPS[wanted.quality], limits.max_steps)
    named = {name: value for name in OPTIONS if (value := getattr(wanted, name)) is not None}
    return read_params({"prompt": wanted.prompt, "steps": steps, "width": size[0], "height": size[1], **named})


def _data(wanted: ImagesRequest, who: Caller, image: GeneratedImage, size: tuple[int, int]) -> ImageData:
    made_at = _wxh(image.width, image.height)
    by_url = (wanted.model or "").startswith(BY_URL)
    if (wanted.response_format or ("url" if by_url else "b64_json")) == "url":
        form = form_of(wanted.output_format, size, wanted.output_compression)
        return ImageData(url=signed_url(who, image.path.name, form), seed=image.seed, made_at=made_at)
    content = encoding.encode(image.path, size, wanted.output_format, wanted.output_compression)
    return ImageData(b64_json=encoding.as_base64(content), seed=image.seed, made_at=made_at)


def _auto_size(limits: Limits, start: InitImage | None) -> tuple[int, int]:
    """The model's area: in the proportions of the picture that is edited, else square."""
    if start is None or start.image is None:
        return limits.image_size, limits.image_size
    width, height = start.image.size
    scale = limits.image_size / (width * height) ** 0.5
    return max(1, round(width * scale)), max(1, round(height * scale))


def _size(text: str) -> tuple[int, int] | None:
    """WxH in pixels; None for auto."""
    if text in ("auto", ""):
        return None
    match = re.fullmatch(r"(\d{1,5})x(\d{1,5})", text)
    width, height = (int(match[1]), int(match[2])) if match else (0, 0)
    if not (1 <= width <= MOST_SIDE and 1 <= height <= MOST_SIDE):
        raise ApiError(400, "invalid", f"size: must be WIDTHxHEIGHT up to {MOST_SIDE}x{MOST_SIDE}, or auto.", "size")
    return width, height


def _wxh(width: int, height: int) -> str:
    return f"{width}x{height}"


def _repainted(mask: Image.Image) -> Image.Image:
    """OpenAI's mask repaints where it is transparent; one without transparency where it is white. → white repaints."""
    return ImageChops.invert(as_mask(mask)) if has_transparency(mask) else as_mask(mask)
