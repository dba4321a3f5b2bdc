"""Where each position of a kept generation looks in its prompt: asked again, alone, with an explicit softmax."""

from __future__ import annotations

import math
import re
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from app.engine import Stepped
from app.i18n import say
from app.labs.common.maps import heat
from app.labs.common.plot import Axis, Heat, Mark, Plot, Series
from app.labs.common.tokens import Token, tokens_of
from app.labs.common.trajectory import StepRecord, Trajectory
from app.schemas import RequestError
from ldm_core.diffusion.denoiser import Conditioning, ModelInput
from ldm_core.images import Pixels
from ldm_core.models.attention import cross_attention_maps

if TYPE_CHECKING:
    from ldm_core.pipeline import Pipeline

Floats = NDArray[np.floating]
Maps = Mapping[str, Tensor]  # layer → [heads,h,w,L], sums to 1 over L
ALL = ""  # instead of a layer: the mean over all of them
MEAN = 0  # instead of a head, which count from 1: the mean over all of them
COVER = 0.6  # share of the map where it lies over the picture


@dataclass(frozen=True, eq=False)
class AttentionMaps:
    """Every layer's map at one step, the tokens they run over, and the finished picture uint8 [H,W,3]."""

    maps: Maps
    tokens: tuple[Token, ...]
    picture: Pixels


def attention_maps(pipe: Pipeline, trajectory: Trajectory, i: int) -> Generator[Stepped, None, AttentionMaps]:
    """Ask step i (from 1) of a kept trajectory again, with the prompt alone, and keep every cross-attention map."""
    tokens = tokens_of(pipe, trajectory.params.prompt)
    maps = _maps(pipe, trajectory.steps[i - 1], trajectory.params.prompt)
    yield Stepped(1, 1, trajectory.steps[i - 1].t, 0.0, None)
    return AttentionMaps(maps, tokens, pipe.decode(trajectory.final[None])[0])


def shares_over_steps(
    pipe: Pipeline, trajectory: Trajectory, layer: str, head: int
) -> Generator[Stepped, None, Floats]:
    """Each token's share at every step of the trajectory: [tokens,n], columns sum to 1."""
    tokens, columns = tokens_of(pipe, trajectory.params.prompt), []
    for i, step in enumerate(trajectory.steps):
        columns.append(shares(_maps(pipe, step, trajectory.params.prompt), tokens, layer, head))
        yield Stepped(i + 1, len(trajectory.steps), step.t, 0.0, None)
    return np.stack(columns, axis=1)


def _maps(pipe: Pipeline, step: StepRecord, prompt: str) -> Maps:
    """By eager torch whatever makes the pictures: another runtime has no insides to look at."""
    query = ModelInput(step.x, torch.tensor(step.t), 0)
    with torch.no_grad(), cross_attention_maps(pipe.model.model.diffusion_model) as maps:
        pipe.with_runtime().denoise([query], [Conditioning(pipe.encode_prompt(prompt))])
    return {name: _unflatten(m[0].float().cpu(), step.x) for name, m in maps.items()}


def _unflatten(weights: Tensor, x: Tensor) -> Tensor:
    """[heads,N,L] of a layer somewhere in the UNet over x [C,h,w] → [heads,h',w',L] with h'·w' = N."""
    h, w = x.shape[-2:]
    factor = round(math.sqrt(h * w / weights.shape[1]))
    rows = math.ceil(h / factor)
    return weights.reshape(weights.shape[0], rows, -1, weights.shape[2])


def layer_name(layer: str, maps: Maps) -> str:
    """input_blocks.1.1.transformer_blocks.0 → "input_blocks.1, 16×16"."""
    _, h, w, _ = maps[layer].shape
    place = re.sub(r"\.\d+\.transformer_blocks\.0$", "", layer)
    return f"{place}, {h}×{w}"


def whole(maps: Maps, layer: str, head: int) -> Tensor:
    """[h,w,L] of one layer or ALL (the smaller ones enlarged), one head or MEAN. Sums to 1 over L."""
    if (layer != ALL and layer not in maps) or not 0 <= head <= min(m.shape[0] for m in maps.values()):
        raise RequestError("not_offered")  # a link may name any
    if layer == ALL:
        side = max(m.shape[1:3] for m in maps.values())
        return torch.stack([_enlarged(whole(maps, name, head), side) for name in maps]).mean(dim=0)
    return maps[layer].mean(dim=0) if head == MEAN else maps[layer][head - 1]


def of_token(maps: Maps, token: Token, layer: str, head: int) -> Floats:
    """How much each position looks at a token: [h,w] in [0,1]."""
    return whole(maps, layer, head)[..., token.first : token.last + 1].sum(dim=-1).numpy()


def shares(maps: Maps, tokens: Sequence[Token], layer: str, head: int) -> NDArray[np.float64]:
    """Each token's share of all attention, the mean over positions: [tokens], sums to 1."""
    mean = whole(maps, layer, head).mean(dim=(0, 1)).double().numpy()
    return np.array([mean[t.first : t.last + 1].sum() for t in tokens])


def over_picture(values: Floats, picture: Pixels) -> Pixels:
    """A map [h,w], light where it is high, laid over uint8 [H,W,3]."""
    grown = _enlarged(torch.as_tensor(values)[..., None], picture.shape[:2])[..., 0].numpy()
    mixed = (1.0 - COVER) * picture + COVER * heat(grown, 0.0)
    return np.asarray(mixed.round().astype(np.uint8))


def _enlarged(maps: Tensor, size: Sequence[int]) -> Tensor:
    """[h,w,L] → [*size,L] by straight lines between positions: sums over L stay."""
    grown = F.interpolate(maps.permute(2, 0, 1)[None], size=tuple(size), mode="bilinear", align_corners=False)
    return grown[0].permute(1, 2, 0)


def lift(values: Floats) -> Floats:
    """log₂ of a map over its mean, [h,w]: 1 where a position looks twice as much as the average one, −1 half."""
    return np.log2(np.maximum(values, 1e-12) / max(float(values.mean()), 1e-12))


def _names(tokens: Sequence[Token], lang: str) -> tuple[str, ...]:
    return tuple(token.says(lang) for token in tokens)


def shares_plot(looked: AttentionMaps, chosen: int, layer: str, head: int, lang: str) -> Plot:
    """Each token's share as a bar; the mark is the chosen one."""
    tokens = looked.tokens
    values = shares(looked.maps, tokens, layer, head)
    most = int(values.argmax())
    numbers = {"token": tokens[most].says(lang), "share": f"{values[most]:.0%}"}
    return Plot(
        title=say(lang, "heat_plot"),
        x=Axis(say(lang, "axis_token"), ticks=_names(tokens, lang)),
        y=Axis(say(lang, "axis_share")),
        series=(Series(say(lang, "axis_share"), np.arange(len(tokens), dtype=np.float64), values, 0, "bars"),),
        marks=(Mark(float(chosen)),),
        summary=say(lang, "heat_summary", **numbers),
        formula=r"A = \mathrm{softmax}(Q K^\top / \sqrt d)",
        source="ldm_core.models.attention.cross_attention_maps",
    )


def over_steps_plot(values: Floats, tokens: Sequence[Token], lang: str) -> Plot:
    """values [tokens,n] of the prompt's pieces, steps across; start, end and padding would outshine them.

    Raises RequestError for a prompt without any piece.
    """
    pieces = [k for k, token in enumerate(tokens) if token.kind == "piece"]
    if not pieces:
        raise RequestError("prompt_empty")
    rising = max(pieces, key=lambda k: values[k, -1] - values[k, 0])
    numbers = {
        "token": tokens[rising].says(lang),
        "first": f"{values[rising, 0]:.1%}",
        "last": f"{values[rising, -1]:.1%}",
        "rest": f"{1.0 - values[pieces].sum(axis=0).mean():.0%}",
    }
    steps = np.arange(1, values.shape[1] + 1, dtype=np.float64)
    shown = values[pieces].astype(np.float64)
    return Plot(
        title=say(lang, "listening_plot"),
        x=Axis(say(lang, "axis_step")),
        y=Axis(say(lang, "axis_token"), range=(pieces[-1] + 0.5, 0.5), ticks=_names(tokens, lang)),
        heat=Heat(steps, np.array(pieces, dtype=np.float64), shown, say(lang, "axis_share")),
        summary=say(lang, "listening_summary", **numbers),
        source="ldm_core.models.attention.cross_attention_maps",
    )
