"""The noise schedules by name, and made. The names come without torch, which panels do not import."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, get_args

from app.schemas import RequestError
from ldm_core.config import BetaSchedule, TimestepSpacing

if TYPE_CHECKING:
    from ldm_core.diffusion.schedule import NoiseSchedule

KINDS: tuple[BetaSchedule, ...] = get_args(BetaSchedule)
GRIDS: tuple[TimestepSpacing, ...] = get_args(TimestepSpacing)
KIND_WORDS: dict[str, str] = {kind: f"schedule_{kind}" for kind in KINDS}  # the choices of a list
MAX_T = 10_000  # ten times what anybody trains with; a million would take the page's memory


def make_schedules(
    kinds: Sequence[str], T: int, linear_start: float, linear_end: float, cosine_s: float, v: float = 0.0
) -> dict[str, NoiseSchedule]:
    """The named KINDS over the same settings; RequestError for values no schedule can have."""
    from ldm_core.diffusion.schedule import NoiseSchedule, make_beta_schedule

    if not 1 <= T <= MAX_T or int(T) != T:
        raise RequestError("fault_T", most=MAX_T, T=T)
    if not 0 < linear_start < 1 or not 0 < linear_end < 1:
        raise RequestError("fault_ends", start=linear_start, end=linear_end)
    if linear_end < linear_start:
        raise RequestError("fault_order", start=linear_start, end=linear_end)
    if not cosine_s > 0:
        raise RequestError("fault_cosine", s=cosine_s)
    if not kinds:
        raise RequestError("fault_no_schedule")
    betas = {kind: make_beta_schedule(kind, int(T), linear_start, linear_end, cosine_s) for kind in kinds}  # type: ignore[arg-type]
    return {kind: NoiseSchedule(values, v) for kind, values in betas.items()}
