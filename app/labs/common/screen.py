"""A plot for the browser, as the JSON that plotly.js draws: hover, zoom, and colours of either theme."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Sequence
from typing import Any

import numpy as np

from app.labs.common.plot import Axis, Heat, Plot, Series

INK = "#78716c"  # reads on white and on the dark page alike
GRID = "rgba(120,113,108,0.22)"
TITLE = 44  # letters of a line: what fits a phone
POINTS = 512  # more than a screen shows; files and tables keep every value


def plotly_json(plot: Plot, height: int = 320) -> str:
    """The figure as JSON text; `height` in CSS pixels, fixed so that nothing jumps when values change."""
    data = [_heat(plot.heat)] if plot.heat is not None else [_trace(s) for s in plot.series]
    many = plot.heat is None and len(plot.series) > 1
    title = "<br>".join(textwrap.wrap(plot.title, TITLE))
    layout: dict[str, Any] = {
        "title": {
            "text": title,
            "font": {"size": 14},
            "x": 0,
            "xanchor": "left",
            "xref": "paper",
        },
        "font": {"family": "system-ui, sans-serif", "size": 12, "color": INK},
        "height": height,
        "autosize": True,
        "margin": {"l": 64, "r": 12, "t": 40, "b": 74 if many else 48},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "hovermode": "closest" if plot.heat is not None else "x unified",
        "showlegend": many,
        "legend": {"orientation": "h", "x": 0, "y": -0.22, "yanchor": "top"},
        "xaxis": _axis(plot.x, [s.x for s in plot.series]),
        "yaxis": _axis(plot.y, [s.y for s in plot.series]),
        "shapes": [_line(mark.at) for mark in plot.marks],
        "annotations": [_label(mark.at, mark.label, plot.x.log) for mark in plot.marks if mark.label],
        "hoverlabel": {"font": {"family": "system-ui, sans-serif", "size": 12}},
        "uirevision": "keep",  # a zoom outlives a change of values
    }
    if plot.heat is not None and plot.heat.square:
        layout["yaxis"] |= {"scaleanchor": "x", "constrain": "domain"}
        layout["xaxis"] |= {"constrain": "domain"}
    return json.dumps({"data": data, "layout": layout})


def _trace(s: Series) -> dict[str, Any]:
    keep = _thin(len(s.x)) if s.kind == "line" else np.arange(len(s.x))
    trace: dict[str, Any] = {"name": s.name, "x": _numbers(s.x[keep]), "y": _numbers(s.y[keep])}
    if s.kind == "bars":
        return trace | {"type": "bar", "marker": {"color": s.colour}}
    if s.kind == "dots":
        return trace | {"type": "scatter", "mode": "markers", "marker": {"color": s.colour, "size": 6}}
    shape = "hv" if s.kind == "steps" else "linear"
    line = {"color": s.colour, "dash": s.dash, "width": 2, "shape": shape}
    return trace | {"type": "scatter", "mode": "lines", "line": line, "hovertemplate": "%{y:.4g}"}


def _heat(h: Heat) -> dict[str, Any]:
    return {
        "type": "heatmap",
        "x": _numbers(h.x),
        "y": _numbers(h.y),
        "z": [_numbers(row) for row in h.values],
        "colorscale": "Viridis",
        "colorbar": {"title": {"text": h.label, "side": "right"}, "thickness": 12},
    }


def _axis(axis: Axis, values: Sequence[np.ndarray[Any, Any]]) -> dict[str, Any]:
    settings: dict[str, Any] = {
        "title": {"text": axis.label, "standoff": 6},
        "type": "log" if axis.log else "linear",
        "gridcolor": GRID,
        "zerolinecolor": GRID,
        "linecolor": GRID,
        "exponentformat": "power" if axis.log else "none",
        "automargin": True,
    }
    if axis.ticks:
        settings |= {"tickvals": list(range(len(axis.ticks))), "ticktext": list(axis.ticks)}
    if axis.log and _decades(values) > 2:
        settings["dtick"] = 1  # powers of ten alone: labels of 2 and 5 between them run into each other
    if axis.range is not None:
        low, high = np.log10(axis.range) if axis.log else axis.range
        settings["range"] = [float(low), float(high)]
    return settings


def _decades(values: Sequence[np.ndarray[Any, Any]]) -> float:
    """How many powers of ten the positive values span."""
    logs = [np.log10(v[np.isfinite(v) & (v > 0)]) for v in values]
    logs = [log for log in logs if len(log)]
    return max((float(log.max()) for log in logs), default=0.0) - min((float(log.min()) for log in logs), default=0.0)


def _line(at: float) -> dict[str, Any]:
    line = {"color": INK, "width": 1.5, "dash": "dot"}
    return {"type": "line", "xref": "x", "yref": "paper", "x0": at, "x1": at, "y0": 0, "y1": 1, "line": line}


def _label(at: float, text: str, log: bool) -> dict[str, Any]:
    place = float(np.log10(at)) if log else at
    return {"x": place, "y": 1, "xref": "x", "yref": "paper", "yanchor": "bottom", "showarrow": False, "text": text}


def _thin(n: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    return np.unique(np.linspace(0, n - 1, min(n, POINTS)).round().astype(np.int64))


def _numbers(values: np.ndarray[Any, Any]) -> list[float | None]:
    return [float(f"{v:.6g}") if np.isfinite(v) else None for v in values]
