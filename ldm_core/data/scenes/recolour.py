"""Painting a drawing in another colour by its luminance, and reading which colour a drawing has."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ldm_core.data.colours import BACKGROUNDS, THING_COLOURS, to_lab
from ldm_core.images import Pixels

Mask = NDArray[np.bool_]

INK, PAPER = 22.0, 90.0  # L* below and above which colourless pixels are outlines and white
COLOURLESS = 14.0  # chroma
SHADES = (0.35, 1.6)  # luminance over the median is kept within these
DOMINANT = 0.5  # share of the pixels that must have a colour for a drawing to have it
_NAMES = tuple(BACKGROUNDS)
_NAMED = to_lab(np.array(list(BACKGROUNDS.values())))
_LUMINANCE = np.array([0.2126, 0.7152, 0.0722])


def paintable(rgba: Pixels) -> Mask:
    """uint8 [H,W,4] → [H,W]: the pixels that carry colour; ink, paper and what is transparent do not."""
    lab = to_lab(rgba[..., :3])
    colourless = np.hypot(lab[..., 1], lab[..., 2]) < COLOURLESS
    plain = colourless & ((lab[..., 0] < INK) | (lab[..., 0] > PAPER))
    solid: Mask = rgba[..., 3] > 127
    return solid & ~plain


def recolour(rgba: Pixels, colour: str) -> Pixels:
    """A drawing uint8 [H,W,4] in one of THING_COLOURS: each coloured pixel becomes the colour, scaled by its
    luminance over the drawing's median; ink and paper stay. A drawing of ink and paper alone comes back as it is.
    """
    mask = paintable(rgba)
    if not mask.any():
        return rgba
    luminance = rgba[..., :3] @ _LUMINANCE
    scale = np.clip(luminance / max(1.0, float(np.median(luminance[mask]))), *SHADES)
    painted = np.clip(scale[..., None] * np.array(THING_COLOURS[colour]), 0, 255).round().astype(np.uint8)
    soft = (rgba[..., 3] > 0) & (rgba[..., 3] <= 127)  # the rim takes the colour too, lest it keep the old one
    out = rgba.copy()
    out[..., :3] = np.where((mask | soft)[..., None], painted, rgba[..., :3])
    return out


def read_colour(rgba: Pixels) -> str:
    """The named colour of a drawing uint8 [H,W,4], "" where none has half of its pixels.

    Ink and paper count only where they are nearly all there is: a white cat with black outlines is white.
    """
    solid, mask = rgba[..., 3] > 127, paintable(rgba)
    if not solid.any():
        return ""
    looked_at = mask if mask.sum() >= 0.3 * solid.sum() else solid
    lab = to_lab(rgba[..., :3][looked_at])
    nearest = np.linalg.norm(lab[:, None] - _NAMED, axis=-1).argmin(1)
    counts = np.bincount(nearest, minlength=len(_NAMES))
    best = int(counts.argmax())
    return _NAMES[best] if counts[best] >= DOMINANT * len(lab) else ""


def contrast(rgba: Pixels, background: str) -> float:
    """Median ΔE between the pixels of a drawing uint8 [H,W,4] and a named background."""
    lab = to_lab(rgba[..., :3][rgba[..., 3] > 127])
    distance = np.linalg.norm(lab - to_lab(np.array(BACKGROUNDS[background])), axis=-1)
    return float(np.median(distance)) if len(lab) else 0.0
