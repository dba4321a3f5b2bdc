"""A grid as one labelled picture that fills cell by cell."""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from app.fonts import chinese_font, fitted, font_for
from app.labs.xy_plot.xy_plot import Axis, Cell, Plan
from ldm_core.images import Pixels

PAPER, INK, EMPTY = "#ffffff", "#1c1917", "#efedea"
GAP = 8  # pixels between cells, and around everything
NARROWEST = 72  # a column's width where pictures are smaller: its label must be read
GUTTER = 180  # widest the rows' labels may be


class Sheet:
    """The picture of a plan whose cells are side × side pixels: labels at once, cells as they come.

    X runs along the columns, Y down the rows, and each value of Z has a labelled part of its own beside the others.
    """

    def __init__(self, plan: Plan, side: int, lang: str) -> None:
        self.side, self.size = side, max(13, side // 16)
        self.filled = 0
        self._lang = lang if lang == "en" or chinese_font(self.size) else "en"
        self._line = round(1.5 * self.size)
        columns, rows, sheets = plan.shape
        x, y, z = plan.axes
        self._column = max(side, NARROWEST)
        self._gutter = self._row_labels_width(y)
        self._top = GAP + self._line * ((1 if z else 0) + (2 if x else 0 if not y else 1))
        self._part = self._gutter + columns * (self._column + GAP) + GAP
        height = self._top + rows * (side + GAP) + GAP
        self.image = Image.new("RGB", (sheets * self._part + GAP, height), PAPER)
        self._pen = ImageDraw.Draw(self.image)
        for k in range(sheets):
            self._label_part(k, x, y, z)
        for cell in plan.cells:
            left, top = self.place(cell)
            self._pen.rectangle((left, top, left + side - 1, top + side - 1), fill=EMPTY)

    def place(self, cell: Cell) -> tuple[int, int]:
        """Left and top pixel of a cell's picture."""
        left = self._left(cell.sheet) + cell.column * (self._column + GAP) + (self._column - self.side) // 2
        return left, self._top + cell.row * (self.side + GAP)

    def paste(self, cell: Cell, pixels: Pixels) -> None:
        """Fill a cell with its picture, uint8 [side,side,3]."""
        self.image.paste(Image.fromarray(pixels), self.place(cell))
        self.filled += 1

    def pixels(self, most: int | None = None) -> Pixels:
        """uint8 [H,W,3], made smaller by a whole factor where it has more than `most` pixels."""
        image, factor = self.image, 1
        while most is not None and image.width * image.height > most * factor**2:
            factor += 1
        return np.asarray(image if factor == 1 else image.reduce(factor))

    def _left(self, part: int) -> int:
        return GAP + part * self._part + self._gutter

    def _row_labels_width(self, y: Axis | None) -> int:
        if y is None:
            return 0
        texts = [y.title(self._lang), *y.labels()]
        return GAP + min(GUTTER, round(max(font_for(text, self.size).getlength(text) for text in texts) + 1))

    def _label_part(self, k: int, x: Axis | None, y: Axis | None, z: Axis | None) -> None:
        left, top = self._left(k), GAP
        if z is not None:
            self._write(f"{z.title(self._lang)}: {z.labels()[k]}", left, top, self._part - self._gutter - GAP)
            top += self._line
        if x is not None:
            self._write(x.title(self._lang), left, top, self._part - self._gutter - GAP)
            top += self._line
            for i, label in enumerate(x.labels()):
                at = left + i * (self._column + GAP) + self._column // 2
                self._write(label, at, top, self._column, anchor="ma")
        if y is not None:
            edge, width = left - GAP, self._gutter - GAP
            self._write(y.title(self._lang), edge, top, width, anchor="ra")
            for j, label in enumerate(y.labels()):
                middle = self._top + j * (self.side + GAP) + self.side // 2
                self._write(label, edge, middle, width, anchor="rm")

    def _write(self, text: str, left: int, top: int, width: int, **options: Any) -> None:
        font = font_for(text, self.size)
        self._pen.text((left, top), fitted(text, font, width), fill=INK, font=font, **options)
