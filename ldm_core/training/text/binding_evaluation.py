"""Can thing, colour, number and role be read off the frozen states at the words, by linear maps?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from transformers import CLIPTextModel

from ldm_core.data.scenes.captions import caption
from ldm_core.evaluation.probes import fit_linear
from ldm_core.text.tokenizer import Tokenizer
from ldm_core.training.text.binding_captions import Slot, SlotCaption, draw_caption, draw_scene, slots_of, swapped

FITTED = 8000  # training captions that the heads are fitted on
PARTS = ("thing", "colour", "number", "role")


def slot_columns(captions: Sequence[SlotCaption], tokenizer: Tokenizer) -> tuple[Tensor, Tensor]:
    """Row and column, in the ids of the captions, of each slot's last token."""
    rows, columns = [], []
    for row, said in enumerate(captions):
        found = tokenizer.columns_ending_at(said.text, [slot.end for slot in said.slots])
        if -1 in found:
            raise ValueError(f"{said.text!r} is longer than the {tokenizer.length} tokens that are encoded")
        rows += [row] * len(found)
        columns += found
    return torch.tensor(rows), torch.tensor(columns)


@torch.no_grad()
def slot_states(tower: CLIPTextModel, tokenizer: Tokenizer, captions: Sequence[SlotCaption]) -> Tensor:
    """States [S,D] of all slots, in order."""
    found = []
    for i in range(0, len(captions), 256):
        part = captions[i : i + 256]
        ids = tokenizer.encode([c.text for c in part])
        rows, columns = slot_columns(part, tokenizer)
        ids = ids[:, : int(columns.max()) + 1].to(tower.device)
        found.append(tower(input_ids=ids).last_hidden_state[rows, columns].float().cpu())
    return torch.cat(found)


def held_out_captions(styles: Sequence[str], n: int, seed: int = 1) -> list[SlotCaption]:
    """n captions with combinations that training never saw, and of those with two things the swaps."""
    rng = np.random.default_rng(seed)
    scenes = [draw_scene(rng, styles, trained=False) for _ in range(n)]
    scenes += [swapped(scene) for scene in scenes if len(scene.things) > 1]
    return [slots_of(scene, caption(scene, rng)) for scene in scenes]


def read_share(tower: CLIPTextModel, tokenizer: Tokenizer, styles: Sequence[str], n: int = 1000) -> dict[str, float]:
    """Of n held-out captions and their swaps: slots read right by each head, and captions with all slots right.

    The heads are fitted on FITTED training captions.
    """
    rng = np.random.default_rng(0)
    known = [draw_caption(rng, styles, ()) for _ in range(FITTED)]
    asked = held_out_captions(styles, n)
    a, b = slot_states(tower, tokenizer, known), slot_states(tower, tokenizer, asked)
    mean, std = a.mean(0), a.std(0) + 1e-6
    a, b = (a - mean) / std, (b - mean) / std
    right, found = torch.ones(len(b), dtype=torch.bool), {}
    for part in PARTS:
        wanted, options = _labels(known, part)
        answers = torch.tensor([options.get(getattr(s, part), -1) for s in _slots(asked)])
        head = fit_linear(a, wanted, len(options), steps=1200, batch=1024, lr=0.05, seed=0)
        hits = head(b).argmax(1) == answers
        found[part], right = float(hits.float().mean()), right & hits
    rows = slot_columns(asked, tokenizer)[0]
    whole = torch.ones(len(asked), dtype=torch.bool)
    whole[rows[~right]] = False
    return {**found, "captions": float(whole.float().mean())}


def _slots(captions: Sequence[SlotCaption]) -> list[Slot]:
    return [slot for said in captions for slot in said.slots]


def _labels(captions: Sequence[SlotCaption], part: str) -> tuple[Tensor, dict[str, int]]:
    values = [getattr(slot, part) for slot in _slots(captions)]
    options = {value: i for i, value in enumerate(dict.fromkeys(values))}
    return torch.tensor([options[value] for value in values]), options
