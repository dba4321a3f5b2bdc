"""PNG files that know how they were made: write, read, restore."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin

from app.schemas import RequestError, read_params
from ldm_core.sampling import SamplingParams

KEY = "latent-lab"
MAX_TEXT = 64_000  # characters of metadata that are read from a file


def write_png(
    path: Path,
    pixels: NDArray[np.uint8],
    request: SamplingParams,
    weights_sha256: str,
    version: str,
    more: Mapping[str, Any] | None = None,
) -> None:
    """Write pixels uint8 [H,W,3] with the request of this one picture (batch 1, its own seed) in text chunks.

    `more` are further JSON values for the record (a grid's axes). A second chunk, `parameters`, says the request in
    the line other tools show.
    """
    alone = replace(request, batch=1)
    record = {"request": alone.to_dict(), "weights_sha256": weights_sha256, "version": version, **(more or {})}
    info = PngImagePlugin.PngInfo()
    info.add_itxt(KEY, json.dumps(record, ensure_ascii=False))
    info.add_itxt("parameters", parameters_line(alone, *_size(alone, pixels), weights_sha256))
    unfinished = path.with_suffix(".part")  # a full disk, or an end in mid-write, leaves no half picture
    try:
        Image.fromarray(pixels).save(unfinished, format="PNG", pnginfo=info)
        unfinished.replace(path)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise


def _size(r: SamplingParams, pixels: NDArray[np.uint8]) -> tuple[int, int]:
    """Width and height of the picture asked for, which is a part of a grid's."""
    return r.width or pixels.shape[1], r.height or pixels.shape[0]


def parameters_line(r: SamplingParams, width: int, height: int, weights_sha256: str) -> str:
    """The settings as other Stable Diffusion programs write them."""
    negative = f"\nNegative prompt: {r.negative_prompt}" if r.negative_prompt else ""
    return (
        f"{r.prompt}{negative}\nSteps: {r.steps}, Sampler: {r.sampler}, CFG scale: {r.guidance_scale}, "
        f"Seed: {r.seed}, Size: {width}x{height}, Eta: {r.eta}, Model hash: {weights_sha256[:10]}"
    )


def read_png(path: Path) -> tuple[SamplingParams, dict[str, str]]:
    """The request a PNG was made from, and {weights_sha256, version}.

    The file is untrusted: only its text is read, of bounded length, against the request's schema. Raises RequestError.
    """
    try:
        with Image.open(path) as image:
            if image.format != "PNG":
                raise RequestError("png_other", kind=image.format)
            text = getattr(image, "text", {}).get(KEY)
    except RequestError:
        raise
    except Exception:
        raise RequestError("png_unreadable") from None
    if text is None:
        raise RequestError("png_bare")
    try:
        if len(text) > MAX_TEXT:
            raise ValueError
        record = json.loads(text)
        request = read_params(record["request"])
        return request, {"weights_sha256": str(record["weights_sha256"]), "version": str(record["version"])}
    except RequestError:  # says which setting it is
        raise
    except (ValueError, KeyError, TypeError, RecursionError):
        raise RequestError("png_damaged") from None
