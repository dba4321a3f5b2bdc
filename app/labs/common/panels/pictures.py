"""Pictures of a lab: the shipped one or the person's own, and a row of results as HTML."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from app.images import fit, open_upload
from app.labs.common.maps import heat
from app.service import Service
from app.widgets.status import pixels_uri, safe
from ldm_core.images import Pixels

SHIPPED = Path(__file__).parents[1] / "lab-picture.png"

Figure = tuple[str, Pixels] | tuple[str, Pixels, str]  # its line, the picture, and perhaps a colour bar


def chosen(service: Service, path: str | None) -> Pixels:
    """The uploaded picture, or the shipped one, as uint8 [H,W,3] of the model's size. RequestError for a bad file."""
    picture = open_upload(Path(path) if path else SHIPPED, service.settings)
    side = service.limits.image_size
    return fit(picture, service.limits, side, side)


def figures(pictures: Sequence[Figure], smooth: bool = False) -> str:
    """Pictures side by side with a line under each, and its colour bar where it has one."""
    cells = "".join(
        f'<figure><img src="{pixels_uri(pixels)}" alt="{safe(name)}"><figcaption>{safe(name)}</figcaption>'
        f"{''.join(bar)}</figure>"
        for name, pixels, *bar in pictures
    )
    return f'<div class="figures{" smooth" if smooth else ""}">{cells}</div>'


def heat_figure(name: str, values: NDArray[np.floating], low: float | None = None) -> Figure:
    """A map [h,w] in the colours of `heat`, with their bar; the low end is the values' own unless given."""
    least = float(values.min()) if low is None else low
    return name, heat(values, low), colour_bar((f"{least:.3g}", f"{values.max():.3g}"))


def signed_bar(values: NDArray[np.floating]) -> str:
    """The bar of what `signed` draws up to the largest magnitude of these values."""
    most = f"{abs(values).max():.3g}"
    return colour_bar((f"−{most}", "0", most))


def colour_bar(ends: Sequence[str], label: str = "") -> str:
    """What the colours of a map stand for: three ends for blue, white and red, two for dark and light."""
    low, *others = (f"<span>{safe(end)}</span>" for end in ends)
    bar = '<i class="heat"></i>' if len(ends) == 2 else "<i></i>"
    said = f"<span>{safe(label)}</span>" if label else ""
    return f'<div class="colour-bar">{said}{low}{"".join(bar + end for end in others)}</div>'
