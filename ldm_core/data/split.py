"""What training never sees: one share of the (concept, style) pairs, decided by hash, fixed for good."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from ldm_core.data.corpus import Entry

HELDOUT_SHARE = 0.05
Pair = tuple[str, str]  # concept, style


def split(entries: Sequence[Entry], digests: Sequence[bytes], share: float = HELDOUT_SHARE) -> list[Entry]:
    """Hold out a share of the (concept, style) pairs, all their skin tones and variants with them.

    Concept and style both stay in training with other partners, so that composition can be measured; and no held-out
    drawing stays there under another name, which `digests` (one a row, equal where the pixels are) tell. The order of
    the entries does not matter.
    """
    heldout = heldout_pairs(entries, digests, share)
    return [replace(e, split="heldout" if (e.concept, e.style) in heldout else "train") for e in entries]


def heldout_pairs(entries: Sequence[Entry], digests: Sequence[bytes], share: float = HELDOUT_SHARE) -> set[Pair]:
    """The pairs with the smallest hashes among those that qualify."""
    pairs = {(e.concept, e.style) for e in entries}
    shared = _sharing_a_drawing(entries, digests)
    left_of_concept, left_of_style = Counter(c for c, _ in pairs), Counter(s for _, s in pairs)
    heldout: set[Pair] = set()
    for pair in sorted(pairs - shared, key=_chance):
        concept, style = pair
        if len(heldout) < round(share * len(pairs)) and left_of_concept[concept] > 1 and left_of_style[style] > 1:
            heldout.add(pair)
            left_of_concept[concept] -= 1
            left_of_style[style] -= 1
    return heldout


def _sharing_a_drawing(entries: Sequence[Entry], digests: Sequence[bytes]) -> set[Pair]:
    """Pairs of which a drawing is also another pair's: 'astronaut' and 'man astronaut' in some sets."""
    owners: dict[bytes, set[Pair]] = {}
    for entry, digest in zip(entries, digests, strict=True):
        owners.setdefault(digest, set()).add((entry.concept, entry.style))
    return {pair for among in owners.values() if len(among) > 1 for pair in among}


def _chance(pair: Pair) -> bytes:
    return hashlib.sha256("|".join(pair).encode()).digest()
