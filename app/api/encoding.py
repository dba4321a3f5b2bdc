"""Pictures as text and files: out of requests, and into answers."""

from __future__ import annotations

import base64
import binascii
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image

from app.api.dependencies import Caller
from app.api.errors import ApiError
from app.images import open_upload
from ldm_core import metadata
from ldm_core.images import PNG_SIGN, Pixels, own_picture


def from_base64(who: Caller, text: str, param: str) -> Image.Image:
    """A picture from base64, with or without a data: prefix; bounded before it is decoded."""
    return open_image(who, raw_from_base64(text, param))


def raw_from_base64(text: str, param: str) -> bytes:
    """The bytes; ApiError where it is none. Lines may be broken, as mail programs and `base64` break them."""
    try:
        return base64.b64decode("".join(text.rpartition(",")[2].split()), validate=True)
    except (binascii.Error, ValueError):
        raise ApiError(400, "invalid", f"{param} is not base64.", param) from None


def png_texts(who: Caller, content: bytes) -> dict[str, str]:
    """The text chunks of a PNG, none of another picture; RequestError for what is no picture."""
    if not content.startswith(PNG_SIGN):
        open_image(who, content)
    return metadata.png_texts(content)


def open_image(who: Caller, content: bytes) -> Image.Image:
    """An untrusted picture, RGB or RGBA. RequestError in one sentence for anything else."""
    return open_upload(BytesIO(content), who.service.settings)


def encode(path: Path, size: tuple[int, int] | None, kind: str, quality: int = 100) -> bytes:
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


def encode_preview(pixels: Pixels, size: tuple[int, int] | None = None, kind: str = "png") -> bytes:
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
