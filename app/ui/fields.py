"""The form's values and the request they stand for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from app.schemas import read_params
from ldm_core.sampling import Limits, SamplingParams

FIELDS = (  # the order of every list of field values
    "prompt",
    "negative_prompt",
    "steps",
    "eta",
    "guidance_scale",
    "sampler",
    "seed",
    "width",
    "height",
    "batch",
    "strength",
    "variation_seed",
    "variation_strength",
)
SEEDS = ("seed", "variation_seed")  # texts: an empty one is drawn, which a number field would turn into 0
TYPED = (*SEEDS, "batch")  # numbers that come as text: a list sends what is typed into it as that
SIDES = ("width", "height")


def request_from(values: Sequence[Any]) -> SamplingParams:
    """Field values in the order of FIELDS → request; RequestError where one has the wrong type (an emptied number)."""
    named = dict(zip(FIELDS, values, strict=True))
    texts = {name: named[name] or "" for name in ("prompt", "negative_prompt")}
    return read_params(named | texts | {name: _typed(named[name]) for name in TYPED})


def _typed(typed: Any) -> Any:
    """A field's text as a number; None where it is empty, and what is no number as it stands."""
    if not isinstance(typed, str):
        return typed
    try:
        return float(typed) if "." in typed else int(typed)
    except ValueError:
        return typed.strip() or None


def values_from(request: SamplingParams, limits: Limits) -> list[Any]:
    """Request → field values in the order of FIELDS; an open size or guidance is the model's own."""
    values = request.to_dict()
    for name in SIDES:
        values[name] = values[name] or limits.image_size
    if request.guidance_scale is None:
        values["guidance_scale"] = limits.guidance_scale
    values |= {name: "" if values[name] is None else str(values[name]) for name in SEEDS}
    return [values[name] for name in FIELDS]
