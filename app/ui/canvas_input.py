"""What the canvas holds: a picture to start from and the part of it to repaint."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
from gradio.processing_utils import save_bytes_to_cache
from PIL import Image

from app.i18n import say
from app.images import fit, fit_mask, open_upload
from app.schemas import RequestError
from app.settings import Settings
from app.ui.blobs import bound_blobs
from app.ui.status import pixels_uri, safe
from ldm_core.images import Pixels, own_pixels
from ldm_core.sampling import Limits

CANVAS_SIDE = 512  # pixels a small picture is enlarged to, so that there is room to paint
CHIP_SIDE = 48  # pixels of the small picture that stands for a folded canvas
PAINTED = 64  # alpha from which a place counts as painted; the brush is see-through, its rim softer still

Canvas = dict[str, Any]  # {"background": path | None, "layers": [path, …]}


def keep_files(editor: gr.ImageEditor) -> gr.ImageEditor:
    """Make the editor hand over files as they came, {"background": path, "layers": [path]}.

    Gradio would decode them first, however large; open_upload looks at the size before it decodes.
    """

    def preprocess(payload: Any) -> Canvas | None:
        if payload is None:
            return None
        if payload.id is not None:
            payload = editor.blob_storage.pop(payload.id, None)
            if payload is None:
                return None
        return {
            "background": _path(payload.background, editor.GRADIO_CACHE),
            "layers": [path for layer in payload.layers if (path := _path(layer, editor.GRADIO_CACHE))],
        }

    setattr(editor, "preprocess", preprocess)  # noqa: B010 — mypy is right that methods are not assigned to
    bound_blobs(editor)
    return editor


def _path(file: Any, cache: str) -> str | None:
    if file is None:
        return None
    if isinstance(file, bytes):
        return str(save_bytes_to_cache(file, "canvas.png", cache))
    return str(file.path)


def picture_and_mask(
    canvas: Canvas | None, settings: Settings, limits: Limits, size: tuple[int | None, int | None]
) -> tuple[Pixels | None, Pixels | None]:
    """(init_image uint8 [H,W,3], mask uint8 [H,W], 255 where painted), both of `size` (width, height).

    None, None for an empty canvas; mask None where nothing is painted. Paint without a picture raises RequestError.
    """
    if canvas is None:
        return None, None
    painted = _painted(canvas["layers"], settings)
    picture = None if canvas["background"] is None else open_upload(Path(canvas["background"]), settings)
    if picture is None or _blank(picture):
        if painted is not None:
            raise RequestError("no_background")
        return None, None
    if painted is not None and painted.size != picture.size:
        painted = painted.resize(picture.size, Image.Resampling.NEAREST)
    mask = None if painted is None else fit_mask(painted, limits, *size)
    return fit(picture, limits, *size).copy(), mask


def chip_html(canvas: Canvas | None, settings: Settings, lang: str) -> str:
    """The picture on the canvas small, with a button that takes it away; "" for an empty canvas, or a bad file."""
    if canvas is None or canvas["background"] is None:
        return ""
    try:
        picture = open_upload(Path(canvas["background"]), settings)
    except RequestError:  # Generate says why
        return ""
    if _blank(picture):
        return ""
    picture.thumbnail((CHIP_SIDE, CHIP_SIDE))
    small = pixels_uri(np.asarray(picture.convert("RGB")))
    starts, away = safe(say(lang, "starts_from")), safe(say(lang, "start_away"))
    return (
        f'<div class="start-chip"><img src="{small}" alt="">{starts} '
        f'<button type="button" data-press="drop-start" aria-label="{away}" title="{away}">✕</button></div>'
    )


def _blank(picture: Image.Image) -> bool:
    """Whether nothing of it is to be seen: what Gradio's editor sends where no picture was loaded."""
    return picture.mode == "RGBA" and picture.getchannel("A").getextrema()[1] == 0


def _painted(layers: Sequence[str], settings: Settings) -> Image.Image | None:
    """The union of what is painted on the layers, white on black; None where there is no paint."""
    union: Pixels | None = None
    for layer in layers:
        image = open_upload(Path(layer), settings).convert("RGBA")
        paint = np.asarray(image)[..., 3]
        union = paint if union is None or union.shape != paint.shape else np.maximum(union, paint)
    if union is None or not (union >= PAINTED).any():
        return None
    return Image.fromarray(np.where(union >= PAINTED, 255, 0).astype(np.uint8))


def for_canvas(path: Path) -> Pixels:
    """A finished picture for the canvas, uint8 [H,W,3]; small ones enlarged by a whole factor, pixel for pixel."""
    pixels = own_pixels(path)
    factor = max(1, CANVAS_SIDE // max(pixels.shape[:2]))
    return pixels.repeat(factor, axis=0).repeat(factor, axis=1)
