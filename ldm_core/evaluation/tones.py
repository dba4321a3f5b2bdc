"""Skin tones: the corpus's own colours of each tone in each style, and which of them a picture shows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from ldm_core.data.colours import to_lab
from ldm_core.data.corpus import Corpus
from ldm_core.data.names import TONES
from ldm_core.evaluation.colours import border_median
from ldm_core.images import Pixels

GROUPS = 24  # (concept, style) pairs from which a style's colours are read
CHANGED = 40  # a channel differs by so much between tones where there is skin
REACH = 15.0  # ΔE up to which a pixel counts for a tone
GREY = 8.0  # chroma below which nothing is skin: light hair, a white background that is a little off
LEAST = 0.002  # share of a picture that must be skin
Pair = tuple[str, str]  # concept, style


def toned_pairs(corpus: Corpus, rows: Iterable[int]) -> dict[Pair, list[int]]:
    """(concept, style) → five rows, one a tone in the order of TONES; only pairs that have each tone exactly once."""
    found: dict[Pair, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        entry = corpus.entries[int(row)]
        if entry.tone in TONES:
            found[entry.concept, entry.style][entry.tone].append(int(row))
    return {
        pair: [by_tone[t][0] for t in TONES]
        for pair, by_tone in found.items()
        if all(len(by_tone.get(t, ())) == 1 for t in TONES)
    }


def skin_colours(variants: Pixels) -> NDArray[np.float64] | None:
    """Five tones of one drawing, uint8 RGBA [5,H,W,4] → their skin's colours RGB [5,3]; None where none is seen.

    Skin is what differs between the tones. Each tone's colour there is the commonest one: hair may differ as well.
    """
    opaque = (variants[..., 3] > 250).all(0)
    changed = (np.ptp(variants[..., :3].astype(np.int16), axis=0) > CHANGED).any(-1)
    skin = variants[:, opaque & changed, :3]
    if skin.shape[1] < LEAST * changed.size:
        return None
    codes = skin.astype(np.int32) // 12
    joint = codes[..., 0] * 4096 + codes[..., 1] * 64 + codes[..., 2]
    together = np.unique(joint, axis=1, return_inverse=True, return_counts=True)
    commonest = together[1].reshape(-1) == together[2].argmax()
    return np.median(skin[:, commonest], axis=1)


def tone_palettes(corpus: Corpus) -> dict[str, NDArray[np.float64]]:
    """style → its five tones' colours RGB [5,3], by training drawings; styles without tones are left out."""
    found: dict[str, list[NDArray[np.float64]]] = defaultdict(list)
    pairs = toned_pairs(corpus, corpus.train)
    for pair in sorted(pairs):
        if len(found[pair[1]]) < GROUPS:
            colours = skin_colours(np.stack([corpus.drawing(r) for r in pairs[pair]]))
            if colours is not None:
                found[pair[1]].append(colours)
    return {style: np.median(np.stack(colours), axis=0) for style, colours in found.items() if colours}


def tone_of(image: Pixels, palette: NDArray[np.float64]) -> int:
    """Which of the tones RGB [5,3] most pixels of a picture uint8 [H,W,3] are nearest to; -1 where there is no skin.

    Pixels that are nearer to the background (the border's colour) or grey do not count.
    """
    pixels, tones = to_lab(image.reshape(-1, 3)), to_lab(palette)
    distance = np.linalg.norm(pixels[:, None] - tones[None], axis=-1)
    background = np.linalg.norm(pixels - to_lab(border_median(image)), axis=-1)
    skin = (distance.min(1) <= REACH) & (distance.min(1) < background) & (np.linalg.norm(pixels[:, 1:], axis=-1) > GREY)
    votes = np.bincount(distance.argmin(1)[skin], minlength=len(tones))
    return int(votes.argmax()) if votes.max() >= LEAST * len(pixels) else -1
