"""The panels of a phase diagram: values with their colour scales, and what is to be read on each cell."""

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from metrics.regimes import Thresholds, possible_regimes
from sweeps.results.phase_schema import HIGH_IS_GOOD, P_REGIMES, SCORES
from sweeps.views.shades import CIVIDIS, NOTHING, REGIME_COLORS, color_range, ink, known, regime_scale, shade

PANELS = {
    "test_error": "test error",
    "normalized_test_error": "normalised test error",
    "bleu": "BLEU of the test pairs",
    "lmc": "linear mode connectivity",
    "cka": "CKA",
    "regime": "regime",
}
"""Columns of the phase table that are drawn, with their titles."""

OF_SOME_TASKS = ("bleu",)
"""Panels that are left out, unless they are asked for, where nothing of them is known, also if nothing at all is."""

Cell = Mapping[Hashable, Any]


@dataclass(frozen=True)
class Layer:
    """Values on one colour scale, with its colour bar.

    Attributes:
        title: Of the colour bar, if it needs one.
        values: Rows by columns; NaN for nothing.
        low: Value of the scale's first colour.
        high: Value of its last colour.
        scale: Evenly spaced colours.
        threshold: Value to mark on the colour bar, which the range contains.
    """

    title: str
    values: list[list[float]]
    low: float
    high: float
    scale: Sequence[str]
    threshold: float | None = None

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


@dataclass(frozen=True)
class Panel:
    """Cells in colours.

    Attributes:
        name: Of :data:`PANELS`.
        columns: Of the phase table whose values are drawn.
        layers: Values on their scales, each cell on one at most.
        colors: Of each cell.
        others: What to write below each cell's mark: another regime that is possible; empty for none.
    """

    name: str
    columns: tuple[str, ...]
    layers: list[Layer]
    colors: list[list[str]]
    others: list[list[str]]

    @property
    def title(self) -> str:
        """What it shows."""
        return PANELS[self.name]

    @property
    def is_known(self) -> bool:
        """Whether there is anything to draw."""
        return any(known(layer.values) for layer in self.layers)

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


def figure(column: str, value: float) -> str:
    """A value of a column, for a person."""
    return f"{value:.2f}" if column in SCORES else f"{value:.4f}"


def panel_of(name: str, grid: Sequence[Sequence[Cell]], thresholds: Thresholds) -> Panel:
    """Panel of a column, over rows of cells of the phase table."""
    layers = _regime_layers(grid) if name == "regime" else [_layer(name, grid, thresholds)]
    colors = [[NOTHING for _ in row] for row in grid]
    for layer in layers:
        for row, values in enumerate(layer.values):
            for column, value in enumerate(values):
                if not math.isnan(value):
                    colors[row][column] = layer.color(value)
    others = [[next(iter(_others(cell)), "") if name == "regime" else "" for cell in row] for row in grid]
    return Panel(name, tuple(P_REGIMES) if name == "regime" else (name,), layers, colors, others)


def probabilities(cell: Cell) -> dict[str, float]:
    """Probability of each regime, where it is known."""
    chances = {regime: float(cell.get(column, math.nan)) for column, regime in P_REGIMES.items()}
    if math.isnan(chances["II-A"]):  # not told apart from II-B
        chances = {"I": chances["I"], "II": 1 - chances["I"]}
    return {regime: share for regime, share in chances.items() if not math.isnan(share)}


def is_sure(cell: Cell) -> bool:
    """Whether no other regime is possible; True where that is not known, or there is no regime."""
    return not _others(cell)


def _others(cell: Cell) -> list[str]:
    """Other regimes that are possible, the likeliest first; II is none of II-A, from which it was not told apart."""
    told = cell["regime"]
    if not isinstance(told, str):
        return []
    possible = possible_regimes(*(float(cell.get(column, math.nan)) for column in P_REGIMES))
    return [regime for regime in possible if regime != told and not (regime == "II" and told.startswith("II-"))]


def _layer(name: str, grid: Sequence[Sequence[Cell]], thresholds: Thresholds) -> Layer:
    values = [[float(cell[name]) for cell in row] for row in grid]
    shown: tuple[float, ...] = ()
    if name == "lmc":
        shown = (thresholds.lmc, 0.0)
    elif name == "cka" and thresholds.rule == "fixed":
        shown = (thresholds.cka,)
    low, high = color_range(known(values), shown if known(values) else ())
    scale = CIVIDIS if name in HIGH_IS_GOOD else CIVIDIS[::-1]  # bright is good in every panel
    return Layer("", values, low, high, scale, shown[0] if shown and known(values) else None)


def _probability(cell: Cell) -> float:
    """Of the regime that is told."""
    chances = probabilities(cell)
    return chances.get(cell["regime"], chances.get("II", 1.0))


def _regime_layers(grid: Sequence[Sequence[Cell]]) -> list[Layer]:
    """A layer for each regime: its probability where it is the one told, or that of II, or 1, where it is not known."""
    told = {cell["regime"] for row in grid for cell in row}
    return [
        Layer(
            regime,
            [[_probability(cell) if cell["regime"] == regime else math.nan for cell in row] for row in grid],
            1 / 3,
            1.0,
            regime_scale(regime),
        )
        for regime in REGIME_COLORS
        if regime in told or (regime != "II" and "II" not in told)
    ]
