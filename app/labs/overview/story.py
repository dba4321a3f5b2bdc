"""A real generation taken down for the diagram: what every part of the pipeline received and handed on."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from app.engine import Stepped
from app.labs.common.maps import signed, tiles
from app.labs.common.tokens import tokens_of
from app.labs.common.trajectory import record
from app.schemas import RequestError
from ldm_core.images import Pixels
from ldm_core.sampling import SamplingParams
from ldm_core.text.prompt_syntax import parse, plain

if TYPE_CHECKING:
    from ldm_core.pipeline import Pipeline

DECODED_AT_ONCE = 5  # estimates in one pass of the decoder, so that others get their turn between two passes


@dataclass(frozen=True, eq=False)
class Story:
    """One generation, stage by stage; latents and estimates have an entry a step, uint8 [h,w,3] each.

    tokens: (text, id) as the tokenizer cuts the prompt, its start and end included; context: the text encoder's
    states [length, width] as a picture, blue below zero and red above; latents: the channels of x_t side by side;
    estimates: x̂₀ decoded; t: the step's timestep.
    """

    prompt: str
    tokens: tuple[tuple[str, int], ...]
    context: Pixels
    context_shape: tuple[int, int]
    latent_shape: tuple[int, int, int]
    t: tuple[float, ...]
    latents: tuple[Pixels, ...]
    estimates: tuple[Pixels, ...]
    final: Pixels
    picture: Pixels


def tell(pipe: Pipeline, params: SamplingParams) -> Generator[Stepped, None, Story]:
    """Generate a request and take every stage down. RequestError where the model reads no text."""
    if pipe.tokenizer is None:
        raise RequestError("fault_no_text")
    trajectory = yield from record(pipe, params)
    x0 = [step.prediction.x0 for step in trajectory.steps]
    estimates: list[Pixels] = []
    for first in range(0, len(x0), DECODED_AT_ONCE):
        estimates += list(pipe.decode(torch.stack(x0[first : first + DECODED_AT_ONCE])))
        yield Stepped(params.steps, params.steps, 0.0, 0.0, None)
    c, h, w = trajectory.final.shape
    context = pipe.encode_prompt(params.prompt).float().cpu()
    context = context.reshape(-1, context.shape[-1])
    return Story(
        prompt=params.prompt,
        tokens=_tokens(pipe, params.prompt),
        context=signed(context.numpy(), 3.0),
        context_shape=(context.shape[0], context.shape[1]),
        latent_shape=(c, h, w),
        t=tuple(step.t for step in trajectory.steps),
        latents=tuple(tiles(step.x.numpy()) for step in trajectory.steps),
        estimates=tuple(estimates),
        final=tiles(trajectory.final.numpy()),
        picture=pipe.decode(trajectory.final[None])[0],
    )


def _tokens(pipe: Pipeline, prompt: str) -> tuple[tuple[str, int], ...]:
    """The start, the prompt's pieces as far as they fit, the end; weights' signs are no text."""
    assert pipe.tokenizer is not None
    ids = pipe.tokenizer.encode([plain(parse(prompt))])[0].tolist()
    return tuple((token.text, ids[token.first]) for token in tokens_of(pipe, prompt) if token.kind != "padding")
