"""The page's one public endpoint, /generate, for gradio_client and curl."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import gradio as gr
from gradio.events import api

from app.engine import Done, Failed, follow
from app.schemas import GenerateRequest, RequestError
from app.service import Service

Generate = Callable[..., Awaitable[tuple[dict[str, Any], dict[str, Any]]]]


def add_endpoint(service: Service) -> None:
    """Add /generate to the gr.Blocks being built. Its arguments and their order are a promise."""
    api(_generate(service), api_name="generate", concurrency_limit=None)


def _generate(service: Service) -> Generate:
    async def generate(
        prompt: str,
        negative_prompt: str = "",
        steps: int = 25,
        eta: float = 0.0,
        guidance_scale: float = 5.0,
        sampler: str = "ddim",
        seed: int = -1,
        width: int | None = None,
        height: int | None = None,
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Make one picture. Returns the PNG file and {request, width, height, seconds}."""
        named = {
            "prompt": prompt, "negative_prompt": negative_prompt, "steps": steps, "eta": eta,
            "guidance_scale": guidance_scale, "sampler": sampler, "seed": seed, "width": width, "height": height,
        }  # fmt: skip
        try:
            job = service.submit(GenerateRequest.from_dict(named))
        except RequestError as error:
            raise gr.Error(str(error), print_exception=False) from None
        try:
            events = [event async for event in follow(job)]
        except asyncio.CancelledError:  # the client gave its call up
            service.cancel(job.id)
            raise
        last = events[-1]
        if not isinstance(last, Done):
            message = str(last.message) if isinstance(last, Failed) else "The request was cancelled."
            raise gr.Error(message, print_exception=False)
        image = last.result.images[0]
        info = {
            "request": last.result.request.to_dict(), "width": image.width, "height": image.height,
            "seconds": round(last.result.seconds, 3),
        }  # fmt: skip
        return {"path": str(image.path), "meta": {"_type": "gradio.FileData"}, "orig_name": image.path.name}, info

    return generate
