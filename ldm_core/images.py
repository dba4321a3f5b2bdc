"""Pictures: uint8 ↔ float, transparency onto a ground, many on one sheet; their files are opened here alone."""

from __future__ import annotations

import math
import stat
import struct
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

if TYPE_CHECKING:
    from torch import Tensor  # the page needs pictures before it needs torch

Pixels = NDArray[np.uint8]
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP")  # by content; a file's name says nothing
PNG_SIGN = b"\x89PNG\r\n\x1a\n"
SIGNS = (PNG_SIGN, b"\xff\xd8\xff", b"RIFF", b"GIF8", b"BM")  # what those formats' files begin with
PNG_PICTURE = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND", b"eXIf")  # the chunks that say what is to be seen


def composite(rgba: Pixels, background: Pixels) -> Pixels:
    """Drawings uint8 [B,H,W,4] (straight alpha) over colours uint8 [B,3] → uint8 [B,H,W,3]."""
    alpha = rgba[..., 3:].astype(np.uint16)
    paint = background[:, None, None, :].astype(np.uint16)
    mixed = rgba[..., :3] * alpha + paint * (255 - alpha)
    return ((mixed + 127) // 255).astype(np.uint8)


def png_bytes(pixels: Pixels) -> bytes:
    """uint8 [H,W,3] or [H,W] as a PNG that is quick to make and not the smallest: what is looked at once."""
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG", compress_level=1)
    return buffer.getvalue()


def to_tensor(images: Pixels) -> Tensor:
    """uint8 [B,H,W,C] → float32 [B,C,H,W] in [-1,1], contiguous."""
    import torch

    return torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2))).float() / 127.5 - 1


def to_uint8(images: Tensor) -> Pixels:
    """float [B,3,H,W] in about [-1,1] → uint8 [B,H,W,3]."""
    import torch

    scaled = ((images.detach().float().cpu() + 1) * 127.5).round().clamp(0, 255)
    return scaled.to(torch.uint8).permute(0, 2, 3, 1).contiguous().numpy()


def picture_grid(images: Pixels, columns: int) -> Pixels:
    """Pictures uint8 [N,H,W,3], row by row → one picture; the last row is filled with white."""
    n, h, w, c = images.shape
    rows = -(-n // columns)
    grid = np.full((rows * columns, h, w, c), 255, np.uint8)
    grid[:n] = images
    return np.ascontiguousarray(grid.reshape(rows, columns, h, w, c).swapaxes(1, 2).reshape(rows * h, columns * w, c))


def pictures_of(grid: Pixels, n: int) -> Pixels:
    """The pictures uint8 [n,H,W,3] of a `picture_grid` in `sheet_columns(n)` columns."""
    columns = sheet_columns(n)
    rows = -(-n // columns)
    h, w = grid.shape[0] // rows, grid.shape[1] // columns
    return grid.reshape(rows, h, columns, w, 3).swapaxes(1, 2).reshape(rows * columns, h, w, 3)[:n]


def feather(mask: Pixels) -> NDArray[np.float32]:
    """Mask uint8 [H,W] → share of the new picture in [0,1]: 1 where white (≥ 128), falling to 0 over a rim around it.

    The rim lies on the kept side, so that a thin stroke is not faint, and is 1/64 of the shorter side wide.
    """
    reached = mask >= 128
    share, rim = reached.astype(np.float32), max(1, min(mask.shape) // 64)
    for k in range(rim):
        wider = np.pad(reached, 1)
        wider = wider[1:-1, :-2] | wider[1:-1, 2:] | wider[:-2, 1:-1] | wider[2:, 1:-1] | reached
        share[wider & ~reached] = 1 - (k + 1) / (rim + 1)
        reached = wider
    return share


def paste_kept(images: Pixels, init_image: Pixels | None, mask: Pixels | None) -> Pixels:
    """Images uint8 [B,H,W,3] with the original's pixels where mask [H,W] is black; unchanged without a mask.

    Around what is white the two are mixed (`feather`), so that no seam shows.
    """
    if init_image is None or mask is None:
        return images
    share = feather(mask)[None, :, :, None]
    return np.rint(init_image + share * (images.astype(np.float32) - init_image)).astype(np.uint8)


def check_picture(image: Pixels, name: str = "init_image") -> None:
    """ValueError unless `image` is uint8 [H,W,3]."""
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(f"{name} must be an array uint8 [H,W,3], not {describe(image)}")


def check_mask(mask: Pixels, image: Pixels | None) -> None:
    """ValueError unless `mask` is uint8 [H,W] over a picture [H,W,3]."""
    if image is None:
        raise ValueError("a mask needs an init_image to keep")
    if not isinstance(mask, np.ndarray) or mask.dtype != np.uint8 or mask.ndim != 2:
        raise ValueError(f"the mask must be an array uint8 [H,W], 255 where to repaint, not {describe(mask)}")
    if mask.shape != image.shape[:2]:
        raise ValueError(f"the mask must have the picture's height and width {image.shape[:2]}, not {mask.shape}")


def describe(value: object) -> str:
    """An array's type and shape, or what else it is, for a refusal."""
    dtype, shape = getattr(value, "dtype", None), getattr(value, "shape", None)  # torch's too
    return type(value).__name__ if dtype is None or shape is None else f"{dtype} {list(shape)}"


def sheet_columns(n: int) -> int:
    """Columns of a sheet of n pictures that is about as wide as high."""
    return max(1, math.ceil(math.sqrt(n)))


class PictureError(ValueError):
    """A file that is not opened as a picture. `key` names the sentence, `values` fill its blanks."""

    MESSAGES: ClassVar = {
        "file_too_big": "the file has {size} MB; at most {most} MB are allowed",
        "picture_too_big": "the picture has {size} megapixels; at most {most} are allowed",
        "picture_far_too_big": "the picture has too many pixels; at most {most} megapixels are allowed",
        "no_picture_format": "the file is not a picture that can be read: PNG, JPEG, WebP, GIF or BMP",
        "picture_cut": "the picture's file is incomplete or damaged",
        "picture_gone": "the picture's file is no longer there",
    }

    def __init__(self, key: str, **values: Any) -> None:
        self.key, self.values = key, values
        super().__init__(self.MESSAGES[key].format(**values))


def open_picture(source: Path | BytesIO, max_bytes: int, max_pixels: int) -> Image.Image:
    """An untrusted file as an upright picture, RGB or RGBA; of an animation the first frame. Raises PictureError.

    Size is judged by the header, before anything is decoded. What does not change the picture (text, colour profile,
    damaged EXIF) is not read; 16-bit grey keeps its shades.
    """
    data = _content(source, max_bytes)
    most = f"{max_pixels / 1e6:.0f}"
    if data.startswith(PNG_SIGN):
        data = _png_picture(data)
    try:
        image = Image.open(BytesIO(data), formats=FORMATS)
    except Image.DecompressionBombError:
        raise PictureError("picture_far_too_big", most=most) from None
    except Exception:
        raise PictureError("picture_cut" if data.startswith(SIGNS) else "no_picture_format") from None
    with image:
        if image.width * image.height > max_pixels:
            pixels = f"{image.width * image.height / 1e6:.0f}"
            raise PictureError("picture_too_big", size=pixels, most=most)
        try:
            image.load()
            upright = _upright(image)
            if upright.mode.startswith("I"):
                upright = Image.fromarray((np.asarray(upright).clip(0, 65535) / 257).round().astype(np.uint8))
            return upright.convert("RGBA" if upright.has_transparency_data else "RGB")
        except Exception:
            raise PictureError("picture_cut") from None


def picture_format(path: Path) -> str | None:
    """Which of FORMATS an untrusted file is in, by its header alone; None where that is none of them."""
    try:
        with Image.open(path, formats=FORMATS) as image:
            return image.format
    except Exception:
        return None


def own_picture(source: Path | BytesIO) -> Image.Image:
    """A PNG that this program wrote, by its header; OSError where it is damaged or gone. No bound: foreign files go
    through `open_picture`.
    """
    return Image.open(source, formats=("PNG",))


def own_pixels(path: Path) -> Pixels:
    """A PNG that this program wrote, as uint8 [H,W,3]; OSError where it is damaged or gone."""
    with own_picture(path) as image:
        return np.asarray(image.convert("RGB"))


def _content(source: Path | BytesIO, max_bytes: int) -> bytes:
    """All bytes of a file. PictureError where they are too many, never end (/dev/zero), or have gone."""
    try:
        if isinstance(source, Path) and not stat.S_ISREG(source.stat().st_mode):
            raise PictureError("no_picture_format")
        size = source.stat().st_size if isinstance(source, Path) else source.getbuffer().nbytes
        if size > max_bytes:
            raise PictureError("file_too_big", size=f"{size / 1e6:.0f}", most=f"{max_bytes / 1e6:.0f}")
        return source.read_bytes() if isinstance(source, Path) else source.getvalue()
    except FileNotFoundError:  # an upload that was swept away meanwhile
        raise PictureError("picture_gone") from None


def _png_picture(data: bytes) -> bytes:
    """A PNG with the chunks of PNG_PICTURE alone: others may be damaged, or huge once they are unpacked."""
    kept, at = [PNG_SIGN], len(PNG_SIGN)
    for kind, body in png_chunks(data):
        if kind in PNG_PICTURE:
            kept.append(data[at : at + 12 + len(body)])
        at += 12 + len(body)
    return b"".join(kept)


def png_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """(kind, body) of every chunk of a PNG up to its end; the last is shorter than it says where the file is cut."""
    at = len(PNG_SIGN)
    while at + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, at)
        yield data[at + 4 : at + 8], data[at + 8 : at + 8 + length]
        if data[at + 4 : at + 8] == b"IEND":
            return
        at += 12 + length


def _upright(image: Image.Image) -> Image.Image:
    """Turned as its EXIF says; as it is where that cannot be read."""
    try:
        return ImageOps.exif_transpose(image)
    except Exception:
        return image.copy()
