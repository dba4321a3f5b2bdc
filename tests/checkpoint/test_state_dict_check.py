"""LatentDiffusion(SD_V1) has exactly the names and shapes read off the original modules."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import torch

from ldm_core.models.latent_diffusion import LatentDiffusion
from ldm_core.presets import SD_V1

KEYS = Path(__file__).with_name("sd_v1_keys.txt")


def test_names_and_shapes() -> None:
    published = {}
    for line in KEYS.read_text().splitlines():
        name, _, shape = line.partition(" ")
        published[name] = tuple(int(n) for n in shape.split("x")) if shape else ()
    with torch.device("meta"):
        model = LatentDiffusion(SD_V1)
    assert {name: tuple(value.shape) for name, value in model.state_dict().items()} == published
    parts = Counter(name.partition(".")[0] for name in published if "." in name)
    assert parts == {"model": 686, "first_stage_model": 248, "cond_stage_model": 196}
    assert len(published) == 686 + 248 + 196 + 12


def test_building_on_meta_leaves_no_meta_buffer() -> None:
    with torch.device("meta"):
        model = LatentDiffusion(SD_V1)
    assert all(parameter.is_meta for parameter in model.parameters())
    assert not any(buffer.is_meta for buffer in model.buffers())
