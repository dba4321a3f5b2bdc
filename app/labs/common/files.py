"""A plot as a file: PNG or SVG by matplotlib, CSV by the plot itself."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from app.fonts import plot_fonts
from app.labs.common.plot import Plot, Series

FORMATS = ("png", "svg", "csv")
LINES: dict[str, Any] = {
    "solid": "-",
    "dash": (0, (5, 2)),
    "dot": (0, (1, 1.6)),
    "dashdot": (0, (5, 2, 1, 2)),
    "longdash": (0, (9, 3)),
    "longdashdot": (0, (9, 3, 1, 3)),
}


def save_plot(plot: Plot, folder: Path, kind: str) -> Path:
    """Write the plot into the folder as .png, .svg or .csv, named after its title; the newest wins."""
    if kind not in FORMATS:
        raise ValueError(f"a plot can be saved as {', '.join(FORMATS)}, not as {kind!r}")
    name = re.sub(r"[^\w]+", "-", plot.title.lower()).strip("-") or "plot"
    path = folder / f"{name}.{kind}"
    if kind == "csv":
        path.write_text(plot.csv(), encoding="utf-8")
    else:
        draw(plot).savefig(path, dpi=160)
    return path


def draw(plot: Plot) -> Any:
    """The plot as a matplotlib Figure, bound to no window and no global state."""
    from matplotlib.figure import Figure
    from matplotlib.text import Text

    figure = Figure(figsize=(7.2, 4.0), layout="constrained")
    axes = figure.add_subplot()
    axes.set_title(plot.title, loc="left", fontsize=11)
    axes.set_xlabel(plot.x.label)
    axes.set_ylabel(plot.y.label)
    if plot.heat is not None:
        h = plot.heat
        mesh = axes.pcolormesh(h.x, h.y, np.ma.masked_invalid(h.values), shading="nearest", cmap="viridis")
        figure.colorbar(mesh, label=h.label)
        axes.set_aspect("equal" if h.square else "auto")
    for series in plot.series:
        _draw_series(axes, series)
    for mark in plot.marks:
        axes.axvline(mark.at, color="#78716c", linestyle=":", label=mark.label or None)
    for axis, set_scale, set_limits, set_ticks in (
        (plot.x, axes.set_xscale, axes.set_xlim, axes.set_xticks),
        (plot.y, axes.set_yscale, axes.set_ylim, axes.set_yticks),
    ):
        set_scale("log" if axis.log else "linear")
        if axis.ticks:
            set_ticks(range(len(axis.ticks)), axis.ticks)
        if axis.range is not None:
            set_limits(*axis.range)
    axes.spines[["top", "right"]].set_visible(False)
    if plot.heat is None:
        axes.grid(alpha=0.25)
    if len(plot.series) > 1:
        axes.legend(frameon=False, fontsize=9)
    for text in figure.findobj(Text):  # not by rcParams, which all threads share
        text.set_fontfamily(plot_fonts())
    return figure


def _draw_series(axes: Any, s: Series) -> None:
    if s.kind == "bars":
        width = 0.8 * float(np.min(np.diff(s.x))) if len(s.x) > 1 else 0.8
        axes.bar(s.x, s.y, width=width, color=s.colour, label=s.name)
    elif s.kind == "dots":
        axes.plot(s.x, s.y, "o", markersize=4, color=s.colour, label=s.name)
    else:
        drawstyle = "steps-post" if s.kind == "steps" else "default"
        axes.plot(s.x, s.y, color=s.colour, linestyle=LINES[s.dash], linewidth=1.8, drawstyle=drawstyle, label=s.name)
