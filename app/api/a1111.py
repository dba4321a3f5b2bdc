"""What Open WebUI, SillyTavern and webuiapi call of A1111's HTTP API; progress and interrupt are the caller's own."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from typing import Any

from fastapi import APIRouter

from app.api import encoding, generation
from app.api.a1111_schemas import (
    MOST_PICTURES,
    Embeddings,
    Img2Img,
    Made,
    Memory,
    MemoryKind,
    Options,
    Picture,
    PngInfo,
    Progress,
    ProgressState,
    Sampler,
    Scheduler,
    SdModel,
    Text2Img,
    Upscaler,
)
from app.api.dependencies import AppState, Caller, CallerDep
from app.api.errors import ApiError, to_api_error
from app.api.generation import InitImage
from app.api.schemas import A1111_ERRORS
from app.engine import Job, Stepped
from app.engine.metrics import resident_bytes
from app.images import as_mask
from app.models.folder import HASH, ModelFile
from app.schemas import GeneratedImage, RequestError, read_params
from ldm_core.metadata import A1111_NAMES, A1111_SAMPLERS, parameters_line, sampler_named
from ldm_core.sampling import Limits, SamplingParams

router = APIRouter(prefix="/sdapi/v1", responses=A1111_ERRORS, tags=["a1111"])
CROP = 1  # A1111's "Crop and resize"; 0 is "Just resize"
KEPT_OPTIONS = 1000  # clients whose options are remembered


@router.post("/txt2img")
async def txt2img(wanted: Text2Img, who: CallerDep) -> Made:
    """Pictures from a prompt."""
    return await _make(wanted, who, None)


@router.post("/img2img")
async def img2img(wanted: Img2Img, who: CallerDep) -> Made:
    """Pictures from a picture; with a mask, its white part is repainted."""
    if not wanted.init_images:
        raise ApiError(400, "invalid", "init_images: a picture is needed.", "init_images")
    if wanted.resize_mode > CROP:
        said = "resize_mode: 0 stretches and 1 crops; filling and upscaling latents are not made here."
        raise ApiError(400, "unsupported", said, "resize_mode")
    image = await asyncio.to_thread(encoding.from_base64, who, wanted.init_images[0], "init_images")
    mask = None
    if wanted.mask:
        mask = as_mask(await asyncio.to_thread(encoding.from_base64, who, wanted.mask, "mask"))
        if wanted.inpainting_mask_invert:
            mask = mask.point([255 - v for v in range(256)])
    return await _make(wanted, who, InitImage(image, mask, wanted.resize_mode == CROP), wanted.denoising_strength)


async def _make(wanted: Text2Img, who: Caller, start: InitImage | None, strength: float | None = None) -> Made:
    file = _checkpoint(who, {**_options(who), **(wanted.override_settings or {})})
    limits = who.service.limits_of(file.name)
    request, n = _request(wanted, limits, strength), wanted.batch_size * wanted.n_iter
    if n > MOST_PICTURES:
        raise ApiError(400, "invalid", f"batch_size × n_iter must be at most {MOST_PICTURES}.", "batch_size")
    jobs = await generation.start_jobs(
        who.service, lambda: generation.submit(who.service, who.requester, request, n, start, file.name)
    )
    images = await generation.pictures(who.service, jobs)
    size = wanted.width, wanted.height
    files = [await asyncio.to_thread(encoding.encode, image.path, size, "png") for image in images]
    requests = [job.request.image(k) for job in jobs for k in range(job.request.batch)]
    return Made(
        images=[encoding.as_base64(file) for file in files] if wanted.send_images else [],
        parameters=wanted.model_dump(exclude={"init_images", "mask", "override_settings"}),
        info=json.dumps(_info(file, requests, images, start is not None), ensure_ascii=False),
    )


def _checkpoint(who: Caller, options: dict[str, Any]) -> ModelFile:
    """The model these options name, the page's own where they name none; ApiError where there is no such."""
    named = options.get("sd_model_checkpoint")
    try:
        return who.service.models.find(named if isinstance(named, str) else "")
    except RequestError as error:
        raise to_api_error(error, "sd_model_checkpoint") from None


def _request(wanted: Text2Img, limits: Limits, strength: float | None) -> SamplingParams:
    width, height = generation.model_size(limits, wanted.width, wanted.height)
    named = wanted.sampler_name or wanted.sampler_index or "ddim"
    sampler = sampler_named(named)
    if sampler is None:
        raise ApiError(400, "no_sampler", f"There is no sampler {named!r} here.", "sampler_name")
    values = {
        "prompt": wanted.prompt, "negative_prompt": wanted.negative_prompt, "steps": wanted.steps,
        "guidance_scale": wanted.cfg_scale, "eta": wanted.eta if sampler == "ddim" else None, "sampler": sampler,
        "seed": None if wanted.seed == -1 else wanted.seed, "width": width, "height": height, "strength": strength,
    }  # fmt: skip
    if wanted.subseed_strength:
        drawn = wanted.subseed in (-1, None)
        values["variation_seed"] = generation.draw_seed(MOST_PICTURES) if drawn else wanted.subseed
        values["variation_strength"] = wanted.subseed_strength
    return read_params({name: value for name, value in values.items() if value is not None})


def _info(
    file: ModelFile, requests: list[SamplingParams], images: list[GeneratedImage], from_picture: bool
) -> dict[str, Any]:
    """What A1111 says of its pictures; `requests` are theirs, one each."""
    request, sha256 = requests[0], file.sha256
    made = zip(requests, images, strict=True)
    texts = [parameters_line(own, i.width, i.height, sha256, from_picture) for own, i in made]
    subseeds = [own.variation_seed for own in requests] if request.variation_strength else []
    return {
        "prompt": request.prompt, "negative_prompt": request.negative_prompt, "seed": request.seed,
        "all_seeds": [own.seed for own in requests], "all_prompts": [own.prompt for own in requests],
        "all_subseeds": subseeds, "subseed_strength": request.variation_strength, "infotexts": texts,
        "width": images[0].width, "height": images[0].height, "steps": request.steps,
        "cfg_scale": request.guidance_scale, "sampler_name": A1111_NAMES.get(request.sampler, request.sampler),
        "sd_model_hash": sha256[:10], "sd_model_name": file.name,
    }  # fmt: skip


@router.get("/progress")
def progress(who: CallerDep, skip_current_image: bool = False) -> Progress:
    """How far the caller's oldest job is."""
    jobs = _jobs(who)
    answer = Progress(state=ProgressState(job_count=len(jobs)))
    steps = [event for event in jobs[0].events if isinstance(event, Stepped)] if jobs else []
    if steps:
        now, previews = steps[-1], [step.preview for step in steps if step.preview is not None]
        answer.progress, answer.eta_relative = now.i / now.n, now.seconds_left
        answer.state.sampling_step, answer.state.sampling_steps = now.i, now.n
        if previews and not skip_current_image:
            answer.current_image = encoding.as_base64(encoding.encode_preview(previews[-1]))
    return answer


@router.post("/interrupt")
@router.post("/skip")
def interrupt(who: CallerDep) -> dict[str, str]:
    """Stop the caller's jobs."""
    generation.cancel(who.service, _jobs(who))
    return {}


def _jobs(who: Caller) -> list[Job]:
    return [job for job in who.service.engine.jobs(who.client) if job.work is None]


@router.get("/options")
def options(who: CallerDep) -> Options:
    """The caller's options."""
    file = _checkpoint(who, _options(who))
    return Options(sd_model_checkpoint=file.title, sd_checkpoint_hash=file.sha256)


@router.post("/options")
def set_options(values: dict[str, Any], who: CallerDep) -> None:
    """Options for the caller's later requests; of those only the model's name means anything here."""
    checkpoint = values.get("sd_model_checkpoint")
    _checkpoint(who, values)
    kept = AppState.of(who.request.app).a1111_options
    if isinstance(checkpoint, str):
        kept.pop(who.client, None)
        kept[who.client] = {"sd_model_checkpoint": checkpoint}
        if len(kept) > KEPT_OPTIONS:
            del kept[next(iter(kept))]  # the one set longest ago


def _options(who: Caller) -> dict[str, Any]:
    return AppState.of(who.request.app).a1111_options.get(who.client, {})


@router.get("/sd-models")
def sd_models(who: CallerDep) -> list[SdModel]:
    """The models that can be chosen."""
    return [
        SdModel(
            title=file.title,
            model_name=file.name,
            hash=file.sha256[:HASH],
            sha256=file.sha256,
            filename=file.path.name,
        )
        for file in who.service.models.usable
    ]


@router.get("/samplers")
def samplers(who: CallerDep) -> list[Sampler]:
    """Samplers by the names this API's clients know."""
    ours = who.service.limits.samplers
    return [Sampler(name=name, aliases=[alias]) for name, alias in A1111_SAMPLERS.items() if alias in ours]


@router.get("/schedulers")
def schedulers(_who: CallerDep) -> list[Scheduler]:
    """There is one spacing of timesteps here."""
    return [Scheduler()]


@router.get("/upscalers")
def upscalers(_who: CallerDep) -> list[Upscaler]:
    """None but none."""
    return [Upscaler()]


@router.get("/latent-upscale-modes")
@router.get("/sd-vae")
@router.get("/sd-modules")
@router.get("/loras")
def nothing(_who: CallerDep) -> list[dict[str, Any]]:
    """Kinds of files that there are none of."""
    return []


@router.get("/embeddings")
def embeddings(_who: CallerDep) -> Embeddings:
    """None."""
    return Embeddings()


@router.get("/memory")
def memory(_who: CallerDep) -> Memory:
    """This process's memory in bytes, and the machine's where the system tells."""
    used = resident_bytes()
    free, total = 0, used
    if sys.platform == "linux":
        page = os.sysconf("SC_PAGE_SIZE")
        free, total = page * os.sysconf("SC_AVPHYS_PAGES"), page * os.sysconf("SC_PHYS_PAGES")
    return Memory(ram=MemoryKind(free=free, used=used, total=total))


@router.post("/png-info")
async def png_info(wanted: Picture, who: CallerDep) -> PngInfo:
    """The settings a PNG carries."""
    image = await asyncio.to_thread(encoding.raw_from_base64, wanted.image, "image")
    text = await asyncio.to_thread(encoding.png_texts, who, image)
    return PngInfo(info=text.get("parameters", ""), items=text)
