"""A finished picture opened in a lab: what the lab's generation of the same prompt and seed has otherwise."""

from __future__ import annotations

from dataclasses import replace

from app.metadata import read_png
from app.schemas import RequestError
from app.service import Service
from ldm_core.sampling import SamplingParams

COMPARED = (
    "sampler",
    "negative_prompt",
    "steps",
    "guidance_scale",
    "guidance_interval",
    "timestep_spacing",
    "width",
    "height",
    "variation_strength",
)


def differences(service: Service, name: str, made: SamplingParams) -> list[str]:
    """Words' keys of what differs between a picture, by its file's name, and what a lab made with the page's own model
    from noise. None where the file is gone or somebody else's.
    """
    path, pipe = service.picture(name), service.pipe
    if path is None or pipe is None:
        return []
    try:
        settings, told = read_png(path)
    except (OSError, RequestError):
        return []
    side = service.limits.image_size
    theirs, ours = (replace(p, width=p.width or side, height=p.height or side) for p in (settings, made))
    found = [key for key in COMPARED if getattr(theirs, key) != getattr(ours, key)]
    started = told.get("start", "noise") != "noise"
    return found + ["walked_start"] * started + ["model"] * (told["weights_sha256"] != pipe.weights_sha256)
