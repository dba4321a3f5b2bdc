"""Pictures from outside: bounded before they are decoded, then plain RGB."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from app.schemas import RequestError
from app.settings import Settings
from ldm_core.images import Pixels
from ldm_core.sampling import Limits


def open_upload(source: Path | BytesIO, settings: Settings) -> Image.Image:
    """An uploaded file as an upright picture, RGB or RGBA. Raises RequestError in one sentence for anything else."""
    size = source.stat().st_size if isinstance(source, Path) else source.getbuffer().nbytes
    if size > settings.max_upload_bytes:
        raise RequestError("file_too_big", size=f"{size / 1e6:.0f}", most=f"{settings.max_upload_bytes / 1e6:.0f}")
    most = f"{settings.max_upload_pixels / 1e6:.0f}"
    try:
        with Image.open(source, formats=("PNG", "JPEG", "WEBP", "GIF", "BMP")) as image:
            width, height = image.size  # from the header: nothing is decoded yet
            if width * height > settings.max_upload_pixels:
                raise RequestError("picture_too_big", size=f"{width * height / 1e6:.0f}", most=most)
            upright = ImageOps.exif_transpose(image)
            return upright.convert("RGBA" if upright.has_transparency_data else "RGB")
    except RequestError:
        raise
    except Image.DecompressionBombError:
        raise RequestError("picture_far_too_big", most=most) from None
    except Exception:
        raise RequestError("no_picture_format") from None


def on_white(image: Image.Image) -> Image.Image:
    """RGB; transparency becomes white, as in the corpus."""
    if image.mode != "RGBA":
        return image.convert("RGB")
    ground = Image.new("RGBA", image.size, "white")
    ground.alpha_composite(image)
    return ground.convert("RGB")


def fit(image: Image.Image, limits: Limits, width: int | None, height: int | None) -> Pixels:
    """uint8 [H,W,3] of the size asked for: scaled to cover it, then cut in the middle. None is the trained size."""
    size = (width or limits.image_size, height or limits.image_size)
    return np.asarray(ImageOps.fit(on_white(image), size, Image.Resampling.LANCZOS))


def fit_mask(mask: Image.Image, limits: Limits, width: int | None, height: int | None) -> Pixels:
    """uint8 [H,W], 255 where to repaint; the same cut as `fit`, without blur. RequestError where nothing is marked."""
    size = (width or limits.image_size, height or limits.image_size)
    fitted = np.asarray(ImageOps.fit(mask.convert("L"), size, Image.Resampling.BOX))
    binary = np.where(fitted >= 128, 255, 0).astype(np.uint8)
    if not binary.any():
        raise RequestError("mask_empty")
    return binary
