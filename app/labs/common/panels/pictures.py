"""Pictures of a lab: the shipped one or the person's own, and a row of results as HTML."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from app.images import fit, open_upload
from app.service import Service
from app.widgets.status import pixels_uri, safe
from ldm_core.images import Pixels

SHIPPED = Path(__file__).parents[3] / "ui" / "assets" / "lab-picture.png"


def chosen(service: Service, path: str | None) -> Pixels:
    """The uploaded picture, or the shipped one, as uint8 [H,W,3] of the model's size. RequestError for a bad file."""
    picture = open_upload(Path(path) if path else SHIPPED, service.settings)
    side = service.limits.image_size
    return fit(picture, service.limits, side, side)


def figures(pictures: Sequence[tuple[str, Pixels]], smooth: bool = False) -> str:
    """Pictures side by side with a line under each."""
    cells = "".join(
        f'<figure><img src="{pixels_uri(pixels)}" alt="{safe(name)}"><figcaption>{safe(name)}</figcaption></figure>'
        for name, pixels in pictures
    )
    return f'<div class="figures{" smooth" if smooth else ""}">{cells}</div>'


def colour_bar(ends: tuple[str, str, str], label: str) -> str:
    """The scale of app.labs.common.maps.signed: what blue, white and red stand for."""
    low, middle, high = map(safe, ends)
    return (
        f'<div class="colour-bar"><span>{safe(label)}</span><span>{low}</span><i></i><span>{middle}</span><i></i>'
        f"<span>{high}</span></div>"
    )
