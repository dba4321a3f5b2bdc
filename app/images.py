"""Pictures from outside: bounded before they are decoded, then plain RGB."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from app.schemas import RequestError
from app.settings import Settings
from ldm_core.images import PictureError, Pixels, open_picture
from ldm_core.sampling import Limits


def open_upload(source: Path | BytesIO, settings: Settings) -> Image.Image:
    """An uploaded file as an upright picture, RGB or RGBA. Raises RequestError in one sentence for anything else."""
    try:
        return open_picture(source, settings.max_upload_bytes, settings.max_upload_pixels)
    except PictureError as error:
        raise RequestError(error.key, **error.values) from None


def on_white(image: Image.Image) -> Image.Image:
    """RGB; transparency becomes white, as in the corpus."""
    if image.mode != "RGBA":
        return image.convert("RGB")
    ground = Image.new("RGBA", image.size, "white")
    ground.alpha_composite(image)
    return ground.convert("RGB")


def fit(image: Image.Image, limits: Limits, width: int | None, height: int | None, crop: bool = True) -> Pixels:
    """uint8 [H,W,3] of the size asked for: scaled to cover it, then cut in the middle. None is the trained size.

    Without `crop` all of it is there, stretched.
    """
    size = (width or limits.image_size, height or limits.image_size)
    return np.asarray(_scaled(on_white(image), size, Image.Resampling.LANCZOS, crop))


def has_transparency(image: Image.Image) -> bool:
    """Whether anything shows through."""
    return image.mode == "RGBA" and image.getchannel("A").getextrema() != (255, 255)


def as_mask(image: Image.Image) -> Image.Image:
    """Mode L, white where to repaint: where a picture with transparency is opaque, where another is white.

    So A1111 reads masks (`create_binary_mask`).
    """
    return image.getchannel("A") if has_transparency(image) else image.convert("L")


def fit_mask(mask: Image.Image, limits: Limits, width: int | None, height: int | None, crop: bool = True) -> Pixels:
    """uint8 [H,W], 255 where to repaint; the same cut as `fit`, without blur. RequestError where nothing is marked."""
    size = (width or limits.image_size, height or limits.image_size)
    fitted = np.asarray(_scaled(as_mask(mask), size, Image.Resampling.BOX, crop))
    binary = np.where(fitted >= 128, 255, 0).astype(np.uint8)
    if not binary.any():
        raise RequestError("mask_empty")
    return binary


def _scaled(image: Image.Image, size: tuple[int, int], how: Image.Resampling, crop: bool) -> Image.Image:
    return ImageOps.fit(image, size, how) if crop else image.resize(size, how)
