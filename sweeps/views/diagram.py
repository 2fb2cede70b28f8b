"""A diagram of cells, rows of temperatures over columns of loads, as plain data that the drawers draw."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby, pairwise
from typing import NamedTuple

import pandas as pd

from sweeps.views.layers import Cell, Panel

SIGNS = {"ok": "", "incomplete": "…", "diverged": "×", "failed": "!", "missing": "·"}
"""How a cell's status is marked, behind its regime or phase if it has one."""

UNSURE = "?"
"""Mark behind a regime or phase that is not sure."""

UNDEFINED = "–"
"""Mark of a cell that is ok but has none."""

SEARCH = "#d62728"  # stands out from all of Cividis
BESIDE = 0.36  # of a cell, from its middle: where a search is drawn
MARK_BESIDE = -0.13  # where marks are then
ROOM, ROOM_BESIDE = 0.88, 0.62
"""Of a cell's width, that letters may have; where a search is drawn."""

CLIPPED = "Triangles: beyond the colour scale, further from the other values than these are from each other."
"""Of cells that are so."""

EVEN = 0.02
"""Steps that differ by less than this share are the same: grids are rounded."""


class Border(NamedTuple):
    """A line between neighbouring cells of different regimes or phases; (x0, y0) to (x1, y1), firm if both are sure.

    The cell of column c and row r spans c - 0.5 to c + 0.5 and r - 0.5 to r + 0.5.
    """

    x0: float
    y0: float
    x1: float
    y1: float
    is_sure: bool


@dataclass(frozen=True)
class PhaseDiagram:
    """What the diagram shows.

    Attributes:
        kind: What the cells are told to be in: ``regime`` or ``phase``, the column of the table that says which.
        rules: Sentences that say how that is told.
        temperature_axis: What the temperature is.
        load_axis: What the load is.
        temperatures: Labels of the rows, the hottest first.
        loads: Labels of the columns, ascending.
        panels: What is drawn over these.
        regimes: Regime or phase of each cell, or None.
        borders: Between these.
        marks: What to write on each cell: its regime or phase, whether that is sure, and the sign of its status.
        legend: What the signs mean that occur; empty if none does.
        notes: Sentences about colours and triangles.
        seeds: How many models a cell's means are of; empty if that is not known.
        hover: Text of each cell.
        data: What is drawn, a row for each cell.
        uneven: Axes whose values, though drawn so, are neither evenly spaced nor their ratios the same.
        curves: Fitted borders.
    """

    kind: str
    rules: str
    temperature_axis: str
    load_axis: str
    temperatures: list[str]
    loads: list[str]
    panels: list[Panel]
    regimes: list[list[str | None]]
    borders: list[Border]
    marks: list[list[str]]
    legend: str
    notes: list[str]
    seeds: str
    hover: list[list[str]]
    data: pd.DataFrame
    uneven: tuple[str, ...] = ()
    curves: list["Curve"] = field(default_factory=list)

    @property
    def temperature_title(self) -> list[str]:
        """Lines of the title of the axis of temperatures."""
        return [f"{_words(self.temperature_axis)} (hot at the top)", *self._spacing(self.temperature_axis)]

    @property
    def load_title(self) -> list[str]:
        """Lines of the title of the axis of loads."""
        return [" ".join([_words(self.load_axis), *(f"({note})" for note in self._spacing(self.load_axis))])]

    def _spacing(self, axis: str) -> list[str]:
        return ["values not evenly spaced"] * (axis in self.uneven)


class Curve(NamedTuple):
    """A fitted border: where it runs among the columns along the rows, and the ends of its band; NaN if not known."""

    name: str
    rows: list[float]
    places: list[float]
    low: list[float]
    high: list[float]

    def band(self) -> Iterator[tuple[list[float], list[float], list[float]]]:
        """Rows, lower and upper ends of each part of the band that is known."""
        there = [not math.isnan(low + high) for low, high in zip(self.low, self.high, strict=True)]
        for is_known, group in groupby(range(len(there)), key=there.__getitem__):
            if is_known:
                part = list(group)
                yield tuple([values[each] for each in part] for values in (self.rows, self.low, self.high))  # type: ignore[misc]


@dataclass(frozen=True)
class Search:
    """The way of a search along the temperatures of one load.

    Attributes:
        column: Index of the load.
        visited: Indices of the temperatures' rows, in the order of the visits.
        chosen: Index of the row that was chosen, if one was.
    """

    column: int
    visited: Sequence[int]
    chosen: int | None


@dataclass(frozen=True)
class Grid:
    """Cells of a table by temperature and load.

    Attributes:
        axes: What the temperature is, and what the load is.
        temperatures: The hottest first.
        loads: Ascending.
        cells: Rows of the table, as rows of temperatures and columns of loads.
    """

    axes: tuple[str, str]
    temperatures: list[float]
    loads: list[float]
    cells: list[list[Cell]]

    @classmethod
    def of(cls, table: pd.DataFrame, hot_is_low: bool) -> "Grid":
        """The grid of a table with one row for each temperature and load.

        Args:
            table: With the columns ``temperature_axis``, ``temperature``, ``load_axis`` and ``load``.
            hot_is_low: Whether a low temperature value is hot.
        """
        temperatures = sorted(table["temperature"].unique(), reverse=not hot_is_low)
        loads = sorted(table["load"].unique())
        cells = {(row["temperature"], row["load"]): row for row in table.to_dict("records")}
        return cls(
            (str(table["temperature_axis"].iloc[0]), str(table["load_axis"].iloc[0])),
            temperatures,
            loads,
            [[cells[temperature, load] for load in loads] for temperature in temperatures],
        )

    def all_cells(self) -> list[Cell]:
        """One after the other."""
        return [cell for row in self.cells for cell in row]


@dataclass(frozen=True)
class Reading:
    """How the cells of a grid are read.

    Attributes:
        kind: The column that says what they are in.
        others: Gives what else a cell may be in, the likeliest first; nothing if it is sure.
        hover: Gives a cell's text.
        unsure: What is said of cells that are not sure.
        diverged: What is said of what diverged, if anything.
    """

    kind: str
    others: Callable[[Cell], Sequence[str]]
    hover: Callable[[Cell], str]
    unsure: str
    diverged: str

    def told(self, cell: Cell) -> str | None:
        """What a cell is in, or None."""
        told = cell[self.kind]
        return told if isinstance(told, str) else None

    def mark(self, cell: Cell) -> str:
        """What is written on a cell."""
        return (self.told(cell) or "") + UNSURE * bool(self.others(cell)) + SIGNS[cell["status"]] or UNDEFINED

    def legend(self, cells: Sequence[Cell]) -> Iterator[str]:
        """Explain the signs that occur."""
        statuses = {cell["status"] for cell in cells}
        if any(map(self.others, cells)):
            yield f"{UNSURE} {self.unsure}"
        for status, sign in SIGNS.items():
            if sign and status in statuses:
                yield f"{sign} {status}" + (f" ({self.diverged})" if status == "diverged" else "")
        if any(cell["status"] == "ok" and self.told(cell) is None for cell in cells):
            yield f"{UNDEFINED} {self.kind} undefined"


def arranged(
    grid: Grid, reading: Reading, panels: list[Panel], rules: str, notes: Sequence[str], seeds: str, data: pd.DataFrame
) -> PhaseDiagram:
    """The diagram of a grid; arguments that are not of a grid and its reading as the attributes of the diagram."""
    told = [[reading.told(cell) for cell in row] for row in grid.cells]
    sure = [[not reading.others(cell) for cell in row] for row in grid.cells]
    values = dict(zip(grid.axes, (grid.temperatures, grid.loads), strict=True))
    clipped = [CLIPPED] * any(panel.clipped for panel in panels)
    return PhaseDiagram(
        kind=reading.kind,
        rules=rules,
        temperature_axis=grid.axes[0],
        load_axis=grid.axes[1],
        temperatures=[f"{value:.12g}" for value in grid.temperatures],
        loads=[f"{value:.12g}" for value in grid.loads],
        panels=panels,
        regimes=told,
        borders=boundaries(told, sure),
        marks=[[reading.mark(cell) for cell in row] for row in grid.cells],
        legend=", ".join(reading.legend(grid.all_cells())),
        notes=[*notes, *clipped],
        seeds=seeds,
        hover=[[reading.hover(cell) for cell in row] for row in grid.cells],
        data=data,
        uneven=tuple(axis for axis, own in values.items() if not _is_even(own)),
    )


def boundaries(regimes: Sequence[Sequence[str | None]], sure: Sequence[Sequence[bool]]) -> list[Border]:
    """Lines between neighbouring cells of different regimes or phases.

    There is none between a cell and one that is in None, nor between, say, IV and IV-A, which are not told apart.
    """
    borders: list[Border] = []
    for row, cells in enumerate(regimes):
        for column, regime in enumerate(cells):
            right = cells[column + 1] if column + 1 < len(cells) else None
            below = regimes[row + 1][column] if row + 1 < len(regimes) else None
            if _are_parted(regime, right):
                both = sure[row][column] and sure[row][column + 1]
                borders.append(Border(column + 0.5, row - 0.5, column + 0.5, row + 0.5, both))
            if _are_parted(regime, below):
                both = sure[row][column] and sure[row + 1][column]
                borders.append(Border(column - 0.5, row + 0.5, column + 0.5, row + 0.5, both))
    return borders


def thinned(labels: Sequence[str], most: int) -> list[int]:
    """Places of labels of which there are at most so many, at even steps."""
    return list(range(0, len(labels), -(-len(labels) // max(most, 1))))


def _are_parted(one: str | None, other: str | None) -> bool:
    return bool(one and other) and not f"{one}-".startswith(f"{other}-") and not f"{other}-".startswith(f"{one}-")


def _words(axis: str) -> str:
    """Name of an axis as one writes it."""
    return axis.replace("_", " ")


def _is_even(values: Sequence[float]) -> bool:
    """Whether values that are drawn at even steps are a linear or a geometric sequence."""
    steps = [after - before for before, after in pairwise(values)]
    ratios = [math.log(after / before) if before * after > 0 else math.nan for before, after in pairwise(values)]
    return any(
        all(abs(each - mean) <= EVEN * abs(mean) for each in changes)
        for changes in (steps, ratios)
        for mean in [sum(changes) / max(len(changes), 1)]
    )
