"""The phase diagram: what it shows, as plain data that the interactive picture and the printed one draw."""

import math
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby, pairwise
from typing import Any, NamedTuple

import pandas as pd

from metrics.regimes import SURE, Thresholds
from sweeps.views.panels import OF_SOME_TASKS, PANELS, Panel, figure, is_sure, panel_of, probabilities

SIGNS = {"ok": "", "incomplete": "…", "diverged": "×", "failed": "!", "missing": "·"}
"""How a cell's status is marked, behind its regime if it has one."""

UNSURE = "?"
"""Mark behind a regime that is not sure."""

UNDEFINED = "–"
"""Mark of a cell that is ok but has no regime."""

SEARCH = "#d62728"  # stands out from all of Cividis
BESIDE = 0.36  # of a cell, from its middle: where a search is drawn
MARK_BESIDE = -0.13  # where marks are then
ROOM, ROOM_BESIDE = 0.88, 0.62
"""Of a cell's width, that letters may have; where a search is drawn."""

EVEN = 0.02
"""Steps that differ by less than this share are the same: grids are rounded."""


BELOW = (
    *("normalized_test_error", "validation_error", "dense_validation_error"),
    *("validation_bleu", "dense_validation_bleu"),
)
"""Columns that are told of a cell, as far as they are known, beside those that are drawn."""


class Border(NamedTuple):
    """A line between two neighbouring cells of different regimes; (x0, y0) to (x1, y1), firm if both regimes are sure.

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
        temperature_axis: What the temperature is.
        load_axis: What the load is.
        temperatures: Labels of the rows, the hottest first.
        loads: Labels of the columns, ascending.
        panels: What is drawn over these.
        regimes: Regime of each cell, or None.
        borders: Between the regimes.
        marks: What to write on each cell: its regime, whether that is sure, and the sign of its status.
        legend: What the signs mean that occur; empty if none does.
        notes: Sentences about colours and triangles.
        seeds: How many models a cell's means are of; empty if that is not known.
        hover: Text of each cell.
        data: What is drawn, a row for each cell.
        uneven: Axes whose values, though drawn so, are neither evenly spaced nor their ratios the same.
        curves: Fitted borders.
    """

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


def phase_diagram(
    table: pd.DataFrame, hot_is_low: bool, thresholds: Thresholds, panels: Sequence[str] | None = None
) -> PhaseDiagram:
    """Arrange a phase table as rows of temperatures and columns of loads.

    Args:
        table: As :func:`sweeps.results.phase.phase_table` makes it.
        hot_is_low: Whether a low temperature value is hot.
        thresholds: Boundaries of the regimes, which colour bars show.
        panels: Which of :data:`~sweeps.views.panels.PANELS` to draw; all of which something is known if None.
    """
    temperatures = sorted(table["temperature"].unique(), reverse=not hot_is_low)
    loads = sorted(table["load"].unique())
    cells = {(row["temperature"], row["load"]): row for row in table.to_dict("records")}
    grid = [[cells[temperature, load] for load in loads] for temperature in temperatures]
    regimes = [[_none_if_missing(cell["regime"]) for cell in row] for row in grid]
    axes = {
        str(table[f"{axis}_axis"].iloc[0]): values for axis, values in (("temperature", temperatures), ("load", loads))
    }
    wanted = [panel_of(name, grid, thresholds) for name in dict.fromkeys(panels or PANELS)]
    drawn = [panel for panel in wanted if panel.is_known or panels is not None]
    drawn = drawn or [panel for panel in wanted if panel.name not in OF_SOME_TASKS]
    borders = boundaries(regimes, [[is_sure(cell) for cell in row] for row in grid])
    return PhaseDiagram(
        temperature_axis=str(table["temperature_axis"].iloc[0]),
        load_axis=str(table["load_axis"].iloc[0]),
        temperatures=[f"{value:.12g}" for value in temperatures],
        loads=[f"{value:.12g}" for value in loads],
        panels=drawn,
        regimes=regimes,
        borders=borders,
        marks=[[_mark(cell) for cell in row] for row in grid],
        legend=", ".join(_legend(table)),
        notes=list(_notes(table, drawn)),
        seeds=_seeds(table),
        hover=[[_hover(cell) for cell in row] for row in grid],
        data=_data(table, drawn),
        uneven=tuple(axis for axis, values in axes.items() if not _is_even(values)),
    )


def boundaries(regimes: Sequence[Sequence[str | None]], sure: Sequence[Sequence[bool]]) -> list[Border]:
    """Lines between neighbouring cells of different regimes; none between a cell and one whose regime is None."""
    borders: list[Border] = []
    for row, cells in enumerate(regimes):
        for column, regime in enumerate(cells):
            right = cells[column + 1] if column + 1 < len(cells) else None
            below = regimes[row + 1][column] if row + 1 < len(regimes) else None
            if regime and right and regime != right:
                both = sure[row][column] and sure[row][column + 1]
                borders.append(Border(column + 0.5, row - 0.5, column + 0.5, row + 0.5, both))
            if regime and below and regime != below:
                both = sure[row][column] and sure[row + 1][column]
                borders.append(Border(column - 0.5, row + 0.5, column + 0.5, row + 0.5, both))
    return borders


def thinned(labels: Sequence[str], most: int) -> list[int]:
    """Places of labels of which there are at most so many, at even steps."""
    return list(range(0, len(labels), -(-len(labels) // max(most, 1))))


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


def _legend(table: pd.DataFrame) -> Iterator[str]:
    """Explain the signs that occur."""
    cells, statuses = table.to_dict("records"), set(table["status"])
    if any(not is_sure(cell) for cell in cells):
        yield f"{UNSURE} another regime is possible (this one's probability is below {SURE:g})"
    for status, sign in SIGNS.items():
        if sign and status in statuses:
            yield f"{sign} {status}" + (f" ({_diverged(table)})" if status == "diverged" else "")
    if any(cell["status"] == "ok" and _none_if_missing(cell["regime"]) is None for cell in cells):
        yield f"{UNDEFINED} regime undefined"


def _notes(table: pd.DataFrame, panels: Sequence[Panel]) -> Iterator[str]:
    """Explain colours and triangles that occur."""
    told = [cell for cell in table.to_dict("records") if _none_if_missing(cell["regime"])]
    if told and not any(map(probabilities, told)):
        yield "How sure the regimes are is not known."
    elif any(panel.name == "regime" for panel in panels):
        named = "; another one that is possible is below" if any(not is_sure(cell) for cell in told) else ""
        yield f"Regimes: the surer, the stronger the colour{named}."
    if any(panel.clipped for panel in panels):
        yield "Triangles: beyond the colour scale, further from the other values than these are from each other."


def _diverged(table: pd.DataFrame) -> str:
    """How many siblings diverged, and what follows."""
    some = table[table["n_diverged"] > 0]
    return f"{some['n_diverged'].sum():g} siblings in {len(some)} cells; without a regime where a third or more did"


def _seeds(table: pd.DataFrame) -> str:
    """Numbers of models, from the fewest to the most of a cell that has any."""
    there = table[table["n_runs"] > 0]
    said = []
    for name, what in (("n_dense_seeds", "dense seed"), ("n_runs", "sibling")):
        if len(counts := there[name].dropna()):
            least, most = counts.min(), counts.max()
            number = f"{least:g}" if least == most else f"{least:g} to {most:g}"
            said.append(f"{number} {what}" + ("" if most == 1 else "s"))
    return f"{' and '.join(said)} in each cell" if said else ""


def _data(table: pd.DataFrame, panels: Sequence[Panel]) -> pd.DataFrame:
    """What is drawn: these columns of the phase table, and how uncertain the numbers are."""
    labels = ["temperature_axis", "temperature", "load_axis", "load", "status", "regime"]
    numbers = [column for panel in panels for column in panel.columns if not column.startswith("p_")]
    chances = [name for name in table if str(name).startswith("p_regime")]
    counts = ["n_dense_seeds", "n_runs", "n_pairs", "n_diverged"]
    spread = [f"{name}_se{of}" for name in numbers for of in ("", "_dense")]
    wanted = [*labels, *chances, *numbers, *spread, *counts]
    return table[[name for name in dict.fromkeys(wanted) if name in table]].reset_index(drop=True)


def _mark(cell: Mapping[Hashable, Any]) -> str:
    regime = _none_if_missing(cell["regime"]) or ""
    return regime + UNSURE * (not is_sure(cell)) + SIGNS[cell["status"]] or UNDEFINED


def _hover(cell: Mapping[Hashable, Any]) -> str:
    lines = [
        f"<b>{cell['temperature_axis']} {cell['temperature']:g}, {cell['load_axis']} {cell['load']:g}</b>",
        f"regime {_none_if_missing(cell['regime']) or 'undefined'}, status {cell['status']}",
    ]
    if chances := probabilities(cell):
        lines.append("probability: " + ", ".join(f"{regime} {share:.2f}" for regime, share in chances.items()))
    for name in ("test_error", *(each for each in OF_SOME_TASKS if not math.isnan(cell[each])), "lmc", "cka"):
        spread = [(cell[f"{name}_se"], "siblings"), (cell[f"{name}_se_dense"], "dense seeds")]
        known = [f"± {figure(name, error)} over {what}" for error, what in spread if not math.isnan(error)]
        lines.append(" ".join([f"{name} {figure(name, cell[name])}", ", ".join(known)]))
    for name in BELOW:
        if not math.isnan(cell[name]):
            lines.append(f"{name} {figure(name, cell[name])}")
    if not math.isnan(cell["n_runs"]):
        lines.append(f"{cell['n_runs']:g} siblings, {cell['n_pairs']:g} pairs, {cell['n_dense_seeds']:g} dense seeds")
    if cell["n_diverged"] > 0:
        lines.append(f"{cell['n_diverged']:g} siblings diverged, and are in no mean")
    return "<br>".join(lines)


def _none_if_missing(regime: object) -> str | None:
    return regime if isinstance(regime, str) else None
