"""One specification, four renderings that say the same numbers."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from app.fonts import chinese_font
from app.labs.common.files import save_plot
from app.labs.common.plot import Axis, Heat, Mark, Plot, Series, crossing
from app.labs.common.screen import POINTS, plotly_json

X = np.arange(3.0)
PLOT = Plot(
    "Two lines",
    Axis("t"),
    Axis("y", log=True, range=(1e-2, 1e2)),
    (Series("a", X, np.array([1.0, 10.0, 0.1]), 0), Series("b", X[:2], np.array([2.0, np.nan]), 1)),
    marks=(Mark(1.0, "here"),),
)


def test_the_csv_holds_every_value_in_full():
    rows = list(csv.reader(io.StringIO(PLOT.csv())))
    assert rows == [["t", "a", "b"], ["0.0", "1.0", "2.0"], ["1.0", "10.0", "nan"], ["2.0", "0.1", ""]]


def test_the_screen_shows_series_axes_and_marks():
    figure = json.loads(plotly_json(PLOT))
    assert [trace["y"] for trace in figure["data"]] == [[1.0, 10.0, 0.1], [2.0, None]]
    assert figure["layout"]["yaxis"]["type"] == "log"
    assert figure["layout"]["yaxis"]["range"] == [-2.0, 2.0]
    assert figure["layout"]["shapes"][0]["x0"] == 1.0
    assert len({(trace["line"]["color"], trace["line"]["dash"]) for trace in figure["data"]}) == 2


def test_long_lines_are_thinned_on_the_screen_alone():
    x = np.arange(10_000.0)
    plot = Plot("long", Axis("x"), Axis("y"), (Series("s", x, x),))
    shown = json.loads(plotly_json(plot))["data"][0]["x"]
    assert len(shown) <= POINTS
    assert (shown[0], shown[-1]) == (0.0, 9999.0)
    assert len(plot.csv().splitlines()) == 10_001


@pytest.mark.parametrize("kind", ["png", "svg", "csv"])
def test_files(kind: str, tmp_path: Path):
    path = save_plot(PLOT, tmp_path, kind)
    assert path.name == f"two-lines.{kind}"
    if kind == "png":
        with Image.open(path) as image:
            assert image.width > 800
    else:
        assert ("<svg" if kind == "svg" else "t,a,b") in path.read_text()


@pytest.mark.skipif(chinese_font(12) is None, reason="no Chinese font on this machine")
@pytest.mark.parametrize("kind", ["png", "svg"])
@pytest.mark.filterwarnings("error:Glyph")  # matplotlib warns of each letter that becomes a box
def test_chinese_plots_have_no_boxes(kind: str, tmp_path: Path):
    lines = Series("线性", X, X, 0), Series("余弦", X, X + 1, 1)
    save_plot(Plot("信噪比", Axis("时间步"), Axis("数值"), lines, marks=(Mark(1.0, "此处"),)), tmp_path, kind)
    ticks = Axis("词元", ticks=("一", "二", "三"))
    heat = Heat(X, X, np.ones((3, 3)), "比重")
    save_plot(Plot("注意力", ticks, Axis("层", log=False), heat=heat), tmp_path, kind)


def test_a_heat_map_is_a_table_too():
    plot = Plot("h", Axis("x"), Axis("y"), heat=Heat(X, X[:2], np.arange(6.0).reshape(2, 3), "z"))
    assert plot.table() == (["y \\ x", "0", "1", "2"], [[0.0, 0.0, 1.0, 2.0], [1.0, 3.0, 4.0, 5.0]])
    assert json.loads(plotly_json(plot))["data"][0]["z"] == [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]


def test_bad_shapes_fail_where_they_are_made():
    with pytest.raises(ValueError, match="series 's'"):
        Series("s", X, X[:2])
    with pytest.raises(ValueError, match="heat map"):
        Heat(X, X, np.zeros((2, 3)), "z")


def test_crossing_is_a_straight_line():
    assert crossing(X, np.array([3.0, 1.0, 0.0]), 2.0) == pytest.approx(0.5)
    assert crossing(X, np.array([3.0, 4.0, 5.0]), 2.0) is None
