"""Panels of a diagram: values with their colour scales, and what is to be read on each cell."""

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sweeps.views.shades import CIVIDIS, NOTHING, color_range, ink, known, log_ticks, shade, tick_text, ticks

Cell = Mapping[Hashable, Any]
"""A row of a table that has one for each temperature and load."""

DECADE = 1.0
"""So far below its scale a value is drawn whose logarithm there is not."""


@dataclass(frozen=True)
class Layer:
    """Values on one colour scale, with its colour bar.

    Attributes:
        title: Of the colour bar, if it needs one.
        values: Rows by columns; NaN for nothing. Of a logarithmic scale their logarithms to base 10.
        low: Value of the scale's first colour.
        high: Value of its last colour.
        scale: Evenly spaced colours.
        threshold: Value to mark on the colour bar, which the range contains.
        is_log: Whether the scale is logarithmic.
        labels: Places beside the colour bar and what is written there; round numbers if None.
    """

    title: str
    values: list[list[float]]
    low: float
    high: float
    scale: Sequence[str]
    threshold: float | None = None
    is_log: bool = False
    labels: tuple[tuple[float, str], ...] | None = None

    def beyond(self, value: float) -> int:
        """-1 for a value below the scale, 1 above it, 0 within; NaN is within."""
        return (value > self.high) - (value < self.low)

    @property
    def ends(self) -> tuple[bool, bool]:
        """Whether values lie below the scale, and above it."""
        beyond = {self.beyond(value) for row in self.values for value in row}
        return -1 in beyond, 1 in beyond

    def color(self, value: float) -> str:
        """Colour of a value."""
        return shade(self.scale, (value - self.low) / (self.high - self.low))

    @property
    def ticks(self) -> list[tuple[float, str]]:
        """Places on the colour bar, the threshold among them, and what is written there."""
        if self.labels is not None:
            return list(self.labels)
        if self.is_log:
            return [(place, tick_text(10**place)) for place in log_ticks(self.low, self.high, self.threshold)]
        return [(value, tick_text(value)) for value in ticks(self.low, self.high, self.threshold)]


@dataclass(frozen=True)
class Panel:
    """Cells in colours.

    Attributes:
        name: By which it is asked for.
        title: What it shows.
        columns: Of the table whose values are drawn.
        layers: Values on their scales, each cell on one at most.
        others: What to write below each cell's mark: what else the cell may be in; empty for nothing.
    """

    name: str
    title: str
    columns: tuple[str, ...]
    layers: list[Layer]
    others: list[list[str]]

    @property
    def is_known(self) -> bool:
        """Whether there is anything to draw."""
        return any(known(layer.values) for layer in self.layers)

    @property
    def colors(self) -> list[list[str]]:
        """Of each cell."""
        found = [[NOTHING for _ in row] for row in self.others]
        for layer in self.layers:
            for row, values in enumerate(layer.values):
                for column, value in enumerate(values):
                    if not math.isnan(value):
                        found[row][column] = layer.color(value)
        return found

    @property
    def inks(self) -> list[list[str]]:
        """Colours of letters that can be read on each cell."""
        return [[ink(color) for color in row] for row in self.colors]

    @property
    def clipped(self) -> list[tuple[int, int, int]]:
        """Row and column of each cell whose value is beyond its scale, with -1 for below and 1 for above."""
        return [
            (row, column, layer.beyond(value))
            for layer in self.layers
            for row, values in enumerate(layer.values)
            for column, value in enumerate(values)
            if layer.beyond(value)
        ]


def value_panel(
    name: str,
    title: str,
    cells: Sequence[Sequence[Cell]],
    high_is_good: bool,
    shown: Sequence[float] = (),
    is_log: bool = False,
) -> Panel:
    """Panel of a column of numbers.

    Args:
        name: Of the panel and the column.
        title: What it shows.
        cells: Rows by columns; NaN for nothing.
        high_is_good: Which end is bright: bright is good in every panel.
        shown: Values that the scale contains in any case, if it has any cells; the first is its threshold.
        is_log: Whether the scale is logarithmic. Values that are not positive are then drawn as below it.
    """
    values = [[float(cell[name]) for cell in row] for row in cells]
    if is_log:
        values, shown = [[_log(value) for value in row] for row in values], [_log(value) for value in shown]
    there = [value for value in known(values) if value > -math.inf]
    low, high = color_range(there, shown if there else ())
    values = [[low - DECADE if value == -math.inf else value for value in row] for row in values]
    scale = CIVIDIS if high_is_good else CIVIDIS[::-1]
    layer = Layer("", values, low, high, scale, shown[0] if shown and there else None, is_log)
    return Panel(name, title, (name,), [layer], [["" for _ in row] for row in cells])


def _log(value: float) -> float:
    """Logarithm to base 10; NaN of NaN, and minus infinity of what is not positive."""
    return value if math.isnan(value) else math.log10(value) if value > 0 else -math.inf
