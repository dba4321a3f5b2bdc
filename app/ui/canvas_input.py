"""What the canvas holds: a picture to start from and the part of it to repaint."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from app.i18n import say
from app.images import fit, fit_mask, open_upload
from app.schemas import RequestError
from app.settings import Settings
from app.ui.gradio_patches.canvas_files import Canvas
from app.widgets.status import pixels_uri, safe
from ldm_core.images import Pixels, own_pixels
from ldm_core.sampling import Limits

CANVAS_SIDE = 512  # pixels a small picture is enlarged to, so that there is room to paint
CHIP_SIDE = 48  # pixels of the small picture that stands for a folded canvas
PAINTED = 64  # alpha from which a place counts as painted; the brush is see-through, its rim softer still


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
