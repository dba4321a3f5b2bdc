"""/metrics for Prometheus, /v1/capabilities for programs."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.responses import Response

from app.api.dependencies import CallerDep
from app.api.schemas import ERRORS
from app.engine.metrics import resident_bytes
from ldm_core import __version__

router = APIRouter(responses=ERRORS, tags=["service"])


@router.get("/metrics", response_class=Response)
def metrics(who: CallerDep) -> Response:
    """Queue depth, rows a call, seconds a tick, time to the first step, pictures, ends of jobs, memory."""
    figures = who.service.engine.metrics
    figures.memory.set(resident_bytes())
    return Response(generate_latest(figures.registry), media_type=CONTENT_TYPE_LATEST)


@router.get("/v1/capabilities")
def capabilities(who: CallerDep) -> dict[str, Any]:
    """What may be asked for here."""
    service, limits = who.service, who.service.limits
    return {
        "version": __version__,
        "model": {"id": service.state.model, "device": service.state.device, "dtype": service.state.dtype},
        "models": [file.name for file in service.models.usable],
        "samplers": list(limits.samplers),
        "image_size": limits.image_size,
        "size_multiple": limits.size_multiple,
        "limits": {
            "steps": limits.max_steps,
            "batch": limits.max_batch,
            "side": limits.max_side,
            "pixels": limits.max_pixels,
            "prompt_chars": limits.prompt_chars,
        },
        "features": ["image_to_image", "inpainting", "prompt_weights", "previews"],
    }
