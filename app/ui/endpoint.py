"""The page's one public endpoint, /generate, for gradio_client and curl."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import gradio as gr
from gradio.context import LocalContext
from gradio.events import api

from app.engine import Done, Event, Failed, Job, follow
from app.schemas import RequestError, read_params
from app.service import Service
from ldm_core.sampling import SamplingParams

CLIENT_SECONDS = 0.5  # how often a running call looks whether its client is still there
Generate = Callable[..., Awaitable[tuple[dict[str, Any], dict[str, Any]]]]


def add_endpoint(service: Service) -> None:
    """Add /generate to the gr.Blocks being built. Its arguments and their order are a promise."""
    api(_generate(service), api_name="generate", concurrency_limit=None)


async def _end(service: Service, job: Job) -> Event:
    """A job's last event. A client that leaves, by cancelling its call or its connection, takes the job with it."""
    event_id, blocks = LocalContext.event_id.get(None), LocalContext.blocks.get(None)
    call = blocks._queue.event_ids_to_events.get(event_id) if blocks and event_id else None
    following = asyncio.ensure_future(_last(job))
    try:
        while not following.done():
            await asyncio.wait({following}, timeout=CLIENT_SECONDS)
            if call is not None and not call.alive:  # Gradio marks it, and lets it run
                service.cancel(job.id)
        return following.result()
    except asyncio.CancelledError:
        following.cancel()
        service.cancel(job.id)
        if event_id is None:  # a call in one piece, whose connection is gone: Gradio would log a traceback for it
            raise gr.Error("The request was cancelled.", print_exception=False) from None
        raise


async def _last(job: Job) -> Event:
    return [event async for _, event in follow(job)][-1]


def _generate(service: Service) -> Generate:
    async def generate(
        prompt: str,
        negative_prompt: str = SamplingParams.negative_prompt,
        steps: int = SamplingParams.steps,
        eta: float = SamplingParams.eta,
        guidance_scale: float | None = None,
        sampler: str = SamplingParams.sampler,
        seed: int | None = None,
        width: int | None = None,
        height: int | None = None,
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Make one picture; without a seed, or with −1, one is drawn.

        Returns the PNG file and {request, width, height, seconds}.
        """
        named = {
            "prompt": prompt,
            "negative_prompt": negative_prompt,
            "steps": steps,
            "eta": eta,
            "guidance_scale": guidance_scale,
            "sampler": sampler,
            "seed": seed,
            "width": width,
            "height": height,
        }
        try:
            requester = replace(service.visitor(), durable=False)  # it ends with its call
            job = await asyncio.to_thread(service.submit, read_params(named), requester=requester)
        except RequestError as error:
            raise gr.Error(str(error), print_exception=False) from None
        last = await _end(service, job)
        if not isinstance(last, Done):
            message = str(last.message) if isinstance(last, Failed) else "The request was cancelled."
            raise gr.Error(message, print_exception=False)
        image = last.result.images[0]
        info = {
            "request": last.result.request.to_dict(),
            "width": image.width,
            "height": image.height,
            "seconds": round(last.result.seconds, 3),
        }
        return {"path": str(image.path), "meta": {"_type": "gradio.FileData"}, "orig_name": image.path.name}, info

    return generate
