"""Does a thing's word look at the thing? The peak of its cross-attention against the thing's mask, in real scenes."""

from __future__ import annotations

from collections.abc import Sequence
from math import isqrt

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ldm_core.data.scenes.captions import Caption
from ldm_core.diffusion.gaussian import add_noise
from ldm_core.evaluation.report import Metric
from ldm_core.images import Pixels
from ldm_core.models.attention import cross_attention_maps
from ldm_core.pipeline import Pipeline

TIMESTEP = 400  # of 1000: layout is decided, details are not


@torch.no_grad()
def finest_map(pipe: Pipeline, image: Pixels, prompt: str, seed: int) -> Tensor:
    """A picture uint8 [H,W,3], noised to TIMESTEP → the finest cross-attention maps' mean over heads and layers:
    [h,w,L], over the L tokens of the prompt.
    """
    z = pipe.encode_image(image)[None]
    t = torch.tensor([TIMESTEP])
    noise = torch.randn(z.shape, generator=torch.Generator().manual_seed(seed))
    x = add_noise(z, noise, pipe.schedule.alpha_bar_at(t).view(1, 1, 1, 1))
    with cross_attention_maps(pipe.model.model) as recorded:
        pipe.model.apply_model(x.to(pipe.device), t.to(pipe.device), pipe.encode_prompt(prompt)[None])
    maps = [m[0].mean(0).float().cpu() for m in recorded.values()]
    cells = max(len(m) for m in maps)
    found = torch.stack([m for m in maps if len(m) == cells]).mean(0)
    return found.reshape(isqrt(cells), isqrt(cells), -1)


def points(attention: Tensor, mask: Tensor) -> tuple[bool, float]:
    """A word's map [h,w] and its thing's mask bool [H,W]: whether the peak lies inside the mask, which is reduced to
    the map's cells and dilated by one; and the share of cells inside, which is chance.
    """
    inside = F.adaptive_max_pool2d(mask[None].float(), attention.shape)
    inside = F.max_pool2d(inside, 3, 1, 1)[0].bool()
    return bool(inside.flatten()[attention.argmax()]), float(inside.float().mean())


def pointing_game(pipe: Pipeline, images: Pixels, owners: Pixels, said: Sequence[Caption], seed: int) -> Metric:
    """Real scenes uint8 [N,H,W,3], who owns each pixel [N,H,W], their captions → share of nouns that point right."""
    if pipe.tokenizer is None:
        raise ValueError(f"{pipe.weights_name} has no text encoder: its words look at nothing")
    hits: list[tuple[bool, float]] = []
    for i, (image, owner, caption) in enumerate(zip(images, owners, said, strict=True)):
        attention = finest_map(pipe, image, caption.text, seed + i)
        columns = pipe.tokenizer.columns_ending_at(caption.text, [end for _, end in caption.spans])
        for thing, column in enumerate(columns, 1):
            if column >= 0:
                hits.append(points(attention[..., column], torch.from_numpy(owner == thing)))
    share, chance = (float(np.mean(column)) for column in zip(*hits, strict=True))
    return Metric("pointing, two things", share, len(hits), target=0.75, note=f"chance {chance:.2f}")
