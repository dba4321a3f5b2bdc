"""The plan of a grid: its axes read from text, the request of every cell. Without torch, for the page reads plans."""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass, replace
from typing import Any

from app.i18n import Sentence, say
from app.labs.common.schedules import GRIDS, KINDS
from app.schemas import RequestError, check_params, read_params
from ldm_core.config import MAX_SEED
from ldm_core.sampling import Limits, SamplingParams

MAX_CELLS = 64
MAX_TEXT = 1000  # characters of an axis
PLACES = ("x", "y", "z")
AXES = ("steps", "eta", "guidance_scale", "sampler", "seed", "schedule", "words")
SCHEDULES = (*GRIDS, *KINDS)  # steps on the loaded model's own noise schedule; those at another one's noise levels
Value = int | float | str


@dataclass(frozen=True)
class Axis:
    """What changes along a side of the grid: a name of AXES and at least one value."""

    name: str
    values: tuple[Value, ...]

    def labels(self) -> list[str]:
        """Values as they stand beside the cells."""
        return [f"{value:g}" if isinstance(value, float) else str(value) for value in self.values]

    def title(self, lang: str) -> str:
        """The axis's name on the page."""
        return say(lang, self.name if self.name not in ("schedule", "words") else f"axis_{self.name}")


@dataclass(frozen=True)
class Cell:
    """One picture: where it stands (from 0) and what it is asked with; schedule "uniform" is the Generate tab's."""

    column: int
    row: int
    sheet: int
    request: SamplingParams
    schedule: str


@dataclass(frozen=True)
class Plan:
    """A grid before it is filled. `cells` come in the order they are filled: by rows, sheet after sheet."""

    base: SamplingParams
    axes: tuple[Axis | None, Axis | None, Axis | None]
    cells: tuple[Cell, ...]

    @property
    def shape(self) -> tuple[int, int, int]:
        """Columns, rows, sheets."""
        columns, rows, sheets = (len(axis.values) if axis else 1 for axis in self.axes)
        return columns, rows, sheets

    @property
    def steps(self) -> int:
        """Steps of all cells together."""
        return sum(cell.request.steps for cell in self.cells)

    def record(self, filled: int) -> dict[str, Any]:
        """What a file says of its axes, and how many of its cells are filled; the base request stands beside it."""
        named = {
            place: {"axis": axis.name, "values": list(axis.values)}
            for place, axis in zip(PLACES, self.axes, strict=True)
            if axis is not None
        }
        return {**named, "cells": len(self.cells), "filled": filled}


def read_axis(place: str, name: str | None, text: str) -> Axis | None:
    """An axis from what was typed, "5, 10, 20"; None for the name "none". RequestError says what cannot be read.

    Values stand between commas; one that holds a comma itself stands in double quotes.
    """
    if name is None or name == "none":
        return None
    where = Sentence(f"axis_{place}")
    if len(text) > MAX_TEXT:
        raise RequestError("too_long", field=where, length=len(text), most=MAX_TEXT)
    line = " ".join(text.replace("，", ",").split())
    row = next(csv.reader([line], skipinitialspace=True), [])
    items = [item.strip() for item in row if item.strip()]
    if name not in AXES:
        raise RequestError("grid_no_axis", axis=where, name=name)
    if not items:
        raise RequestError("grid_empty", axis=where)
    if len(items) > MAX_CELLS:
        raise RequestError("grid_too_many", cells=len(items), most=MAX_CELLS)
    return Axis(name, tuple(_value(where, name, item) for item in items))


def _value(where: Sentence, name: str, item: str) -> Value:
    if name in ("sampler", "words"):
        return item
    if name == "schedule":
        if item not in SCHEDULES:
            raise RequestError("grid_no_schedule", name=repr(item[:40]), names=", ".join(SCHEDULES))
        return item
    field, shown = Sentence(name), f"“{item[:40]}”"
    try:
        number = float(item)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise RequestError("grid_not_number", axis=where, field=field, value=shown)
    if name in ("eta", "guidance_scale"):
        return number
    if number != int(number):
        raise RequestError("must_be_whole", field=field, value=shown)
    if name == "seed" and not 0 <= number <= MAX_SEED:
        raise RequestError("out_of_range", field=field, low=0, high=MAX_SEED, value=int(number))
    return int(number)


def make_plan(base: SamplingParams, x: Axis | None, y: Axis | None, z: Axis | None, limits: Limits) -> Plan:
    """Every cell's request, checked as the Generate tab's is; RequestError with one sentence about the first fault."""
    axes = (x, y, z)
    if not any(axes):
        raise RequestError("grid_no_axes")
    names = [axis.name for axis in axes if axis is not None and axis.name != "words"]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise RequestError("grid_twice", field=Sentence("axis_schedule" if twice == "schedule" else twice))
    count = math.prod(len(axis.values) for axis in axes if axis is not None)
    if count > MAX_CELLS:
        raise RequestError("grid_too_many", cells=count, most=MAX_CELLS)
    columns, rows, sheets = (range(len(axis.values) if axis else 1) for axis in axes)
    cells = [_cell(base, axes, (i, j, k)) for k in sheets for j in rows for i in columns]
    for cell in cells:
        check_params(cell.request, limits)
        if cell.schedule in KINDS and cell.request.sampler != "ddim":
            raise RequestError("grid_needs_ddim", name=cell.schedule, sampler=cell.request.sampler)
    return Plan(base, axes, tuple(cells))


def _cell(base: SamplingParams, axes: tuple[Axis | None, ...], at: tuple[int, int, int]) -> Cell:
    request, schedule = base, "uniform"
    for place, axis, index in zip(PLACES, axes, at, strict=True):
        if axis is None:
            continue
        value = axis.values[index]
        if axis.name == "words":
            request = replace(request, prompt=_replaced(place, request.prompt, str(axis.values[0]), str(value)))
        elif axis.name == "schedule":
            schedule = str(value)
        else:
            request = read_params({**request.to_dict(), axis.name: value})
    return Cell(*at, request, schedule)


def _replaced(place: str, prompt: str, word: str, other: str) -> str:
    if word not in prompt:
        raise RequestError("grid_no_word", axis=Sentence(f"axis_{place}"), word=word[:40])
    return prompt.replace(word, other)
