"""A part of the model as a drawing: its blocks in the order they run, the UNet as the U it is named after."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from app.widgets.status import safe

if TYPE_CHECKING:
    from app.labs.architecture.blocks import Block

WIDTH, HEIGHT, GAP = 168, 40, 10  # of a box, and between two of them
INDENT = 10  # for every halving of the sides
APART = 36  # between the two arms of the U where they are nearest
Place = tuple["Block", float, float]  # a block, the left and top of its box


def drawing(rows: Sequence[Block], label: str, has_context: bool) -> str:
    """SVG: a box a block with its output shape, darker where more work is; skip connections are dashed.

    `has_context`: the network takes a context; the blocks with cross-attention say so.
    """
    placed, skips = _unet(rows) if any(_is(row, "input_blocks") for row in rows) else (_column(rows), [])
    most = max(row.flops for row in rows) or 1
    width = 1 + max(x for _, x, _ in placed) + WIDTH
    height = 1 + max(y for _, _, y in placed) + HEIGHT
    inside = "".join(map(_line, skips)) + "".join(_box(*place, place[0].flops / most, has_context) for place in placed)
    return (
        f'<div class="drawing"><svg viewBox="-1 -1 {width + 1:g} {height + 1:g}" style="max-width:{width:g}px" '
        f'role="img" aria-label="{safe(label)}">{inside}</svg></div>'
    )


def _is(row: Block, list_name: str) -> bool:
    return row.name.startswith(f"{list_name}.")


def _column(rows: Sequence[Block]) -> list[Place]:
    return [(row, 0.0, k * (HEIGHT + GAP)) for k, row in enumerate(rows)]


def _unet(rows: Sequence[Block]) -> tuple[list[Place], list[tuple[Place, Place]]]:
    """Down on the left, up on the right; input_blocks.i is handed over to output_blocks.(n−1−i), on its own height."""
    down = [row for row in rows if _is(row, "input_blocks")]
    up = [row for row in rows if _is(row, "output_blocks")][::-1]
    at = rows.index(down[0])
    before, middle, after = rows[:at], rows[at + len(down)], rows[at + len(down) + 1 + len(up) :]
    top, step = max(len(before), len(after)), HEIGHT + GAP
    indents = [INDENT * max(0.0, math.log2(down[0].shape[-1] / row.shape[-1])) for row in down]
    far = WIDTH + APART + 2 * max(indents)  # where the right arm begins
    left = [(row, indents[k], (top + k) * step) for k, row in enumerate(down)]
    right = [(row, far - indents[k], (top + k) * step) for k, row in enumerate(up)]
    heads = [(row, 0.0, k * step) for k, row in enumerate(before)]
    tails = [(row, far, (top - 1 - k) * step) for k, row in enumerate(after)]
    bottom = (middle, far / 2, (top + len(down)) * step)
    return [*heads, *left, bottom, *right, *tails], list(zip(left, right, strict=True))


def _box(row: Block, x: float, y: float, share: float, has_context: bool) -> str:
    shape = "×".join(map(str, row.shape))
    text = f"{shape} · context" if has_context and "SpatialTransformer" in row.kind else shape
    middle = x + WIDTH / 2
    return (
        f"<g><title>{safe(row.kind)}, {row.parameters:,}</title>"
        f'<rect x="{x:g}" y="{y:g}" width="{WIDTH}" height="{HEIGHT}" rx="6" fill-opacity="{0.05 + 0.35 * share:.2f}"/>'
        f'<text x="{middle:g}" y="{y + 17:g}" class="name">{safe(row.name)}</text>'
        f'<text x="{middle:g}" y="{y + 32:g}">{safe(text)}</text></g>'
    )


def _line(skip: tuple[Place, Place]) -> str:
    (_, x, y), (_, end, _) = skip
    return f'<line x1="{x + WIDTH:g}" y1="{y + HEIGHT / 2:g}" x2="{end:g}" y2="{y + HEIGHT / 2:g}"/>'
