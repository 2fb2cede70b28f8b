"""The phase diagram: what it shows, and drawing it as one HTML file. The only file that imports plotly."""

import math
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import pandas as pd

PANELS = {
    "test_error": "test error",
    "normalized_test_error": "normalised test error",
    "lmc": "linear mode connectivity",
    "cka": "CKA",
}
"""Columns of the phase table that are drawn, with their titles."""

SIGNS = {"ok": "", "incomplete": "…", "diverged": "×", "failed": "!", "missing": "?"}
"""How a cell's status is marked, behind its regime if it has one."""

UNDEFINED = "–"
"""Mark of a cell that is ok but has no regime."""

COLORS = "Cividis"  # looks the same with and without red-green colour blindness
LOW_IS_GOOD = ("test_error", "normalized_test_error")
NOTHING = "#d9d9d9"
SEARCH = "#d62728"  # stands out from all of Cividis
BESIDE = 0.36  # of a cell, from its middle: where a search is drawn
CELL_HEIGHT, OTHER_HEIGHT = 46, 230

Segment = tuple[float, float, float, float]


@dataclass(frozen=True)
class PhaseDiagram:
    """What the diagram shows.

    Attributes:
        temperature_axis: What the temperature is.
        load_axis: What the load is.
        temperatures: Labels of the rows, the hottest first.
        loads: Labels of the columns, ascending.
        values: For each panel the values, rows by columns; NaN for nothing.
        regimes: Regime of each cell, or None.
        marks: What to write on each cell: its regime and the sign of its status.
        legend: What the signs mean that occur; empty if none does.
        hover: Text of each cell.
    """

    temperature_axis: str
    load_axis: str
    temperatures: list[str]
    loads: list[str]
    values: dict[str, list[list[float]]]
    regimes: list[list[str | None]]
    marks: list[list[str]]
    legend: str
    hover: list[list[str]]


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


def phase_diagram(table: pd.DataFrame, hot_is_low: bool) -> PhaseDiagram:
    """Arrange a phase table (:func:`sweeps.results.phase.phase_table`) as rows of temperatures and columns of loads."""
    temperatures = sorted(table["temperature"].unique(), reverse=not hot_is_low)
    loads = sorted(table["load"].unique())
    cells = {(row["temperature"], row["load"]): row for row in table.to_dict("records")}
    grid = [[cells[temperature, load] for load in loads] for temperature in temperatures]
    return PhaseDiagram(
        temperature_axis=str(table["temperature_axis"].iloc[0]),
        load_axis=str(table["load_axis"].iloc[0]),
        temperatures=[f"{value:.12g}" for value in temperatures],
        loads=[f"{value:.12g}" for value in loads],
        values={name: [[cell[name] for cell in row] for row in grid] for name in PANELS},
        regimes=[[_none_if_missing(cell["regime"]) for cell in row] for row in grid],
        marks=[[_mark(cell) for cell in row] for row in grid],
        legend=", ".join(_legend(table)),
        hover=[[_hover(cell) for cell in row] for row in grid],
    )


def boundaries(regimes: Sequence[Sequence[str | None]]) -> list[Segment]:
    """Lines between neighbouring cells of different regimes.

    Returns:
        Segments (x0, y0, x1, y1), where the cell of column c and row r spans c - 0.5 to c + 0.5 and r - 0.5 to r + 0.5.
        None between a cell and one whose regime is None.
    """
    segments: list[Segment] = []
    for row, cells in enumerate(regimes):
        for column, regime in enumerate(cells):
            right = cells[column + 1] if column + 1 < len(cells) else None
            below = regimes[row + 1][column] if row + 1 < len(regimes) else None
            if regime and right and regime != right:
                segments.append((column + 0.5, row - 0.5, column + 0.5, row + 0.5))
            if regime and below and regime != below:
                segments.append((column - 0.5, row + 0.5, column + 0.5, row + 0.5))
    return segments


def draw(diagram: PhaseDiagram, title: str, caption: str, searches: Sequence[Search] = ()) -> str:
    """Draw the panels of what is known as one HTML page that needs nothing else, over them the way of searches."""
    figure = _figure(diagram, title, caption, searches)
    return str(figure.to_html(include_plotlyjs=True, full_html=True, config={"displaylogo": False}))


def draw_json(diagram: PhaseDiagram, title: str, caption: str) -> str:
    """Draw the same as plotly's JSON, for a page that has :func:`plotly_script`."""
    return str(_figure(diagram, title, caption, ()).to_json())


def plotly_script() -> str:
    """Plotly for browsers."""
    from plotly.offline import get_plotlyjs

    return str(get_plotlyjs())


def _figure(diagram: PhaseDiagram, title: str, caption: str, searches: Sequence[Search]) -> Any:
    import plotly.graph_objects as go
    from plotly.subplots import make_subplots

    known = {name: values for name, values in diagram.values.items() if not _all_nan(values)} or diagram.values
    titles = [PANELS[name] for name in known]
    figure = make_subplots(1, len(known), subplot_titles=titles, shared_yaxes=True, horizontal_spacing=0.055)
    lines: list[dict[str, Any]] = []
    numbers: list[dict[str, Any]] = []
    for place, (name, values) in enumerate(known.items(), start=1):
        right = figure.get_subplot(1, place).xaxis.domain[1]
        heatmap = go.Heatmap(
            z=values,
            x=diagram.loads,
            y=diagram.temperatures,
            text=diagram.marks,
            texttemplate="%{text}",
            textfont={"size": 11},
            customdata=diagram.hover,
            hovertemplate="%{customdata}<extra></extra>",
            hoverongaps=True,
            colorscale=COLORS + "_r" * (name in LOW_IS_GOOD),  # bright is good in every panel
            zmax=max(0.0, _largest(values)) if name == "lmc" else None,
            zmin=min(0.0, _smallest(values)) if name == "lmc" else None,
            xgap=1,
            ygap=1,
            colorbar={"x": right + 0.002, "xanchor": "left", "thickness": 8, "len": 1, "tickfont": {"size": 10}},
        )
        figure.add_trace(heatmap, 1, place)
        axes = {"xref": f"x{place}", "yref": f"y{place}"}
        for x0, y0, x1, y1 in boundaries(diagram.regimes):
            for line in ({"color": "black", "width": 5}, {"color": "white", "width": 2}):
                lines.append({"type": "line", "x0": x0, "y0": y0, "x1": x1, "y1": y1, "line": line, **axes})
        for search in searches:
            lines += [shape | axes for shape in _way(search)]
            numbers += [number | axes for number in _numbers(search)]
    # All at once: plotly copies all of them for each that is added.
    figure.update_layout(shapes=lines, annotations=[*figure.layout.annotations, *numbers])
    figure.update_xaxes(type="category", title=diagram.load_axis, showgrid=False, constrain="domain")
    figure.update_yaxes(type="category", autorange="reversed", showgrid=False)
    figure.update_yaxes(title=f"{diagram.temperature_axis} (hot at the top)", col=1)
    figure.update_layout(
        title={"text": title, "subtitle": {"text": caption}},
        height=OTHER_HEIGHT + CELL_HEIGHT * len(diagram.temperatures),
        margin={"t": 120, "b": 60, "l": 70, "r": 50},
        plot_bgcolor=NOTHING,
    )
    return figure


def _way(search: Search) -> Iterator[dict[str, Any]]:
    """Lines from visit to visit, and a frame around the choice; shapes of plotly without their axes."""
    x = search.column + BESIDE
    for y0, y1 in pairwise(search.visited):
        yield {"type": "line", "x0": x, "y0": y0, "x1": x, "y1": y1, "line": {"color": SEARCH, "width": 3}}
    if search.chosen is not None:
        left, right, top, bottom = (place + side for place in (search.column, search.chosen) for side in (-0.46, 0.46))
        frame = {"x0": left, "x1": right, "y0": top, "y1": bottom}
        yield {"type": "rect", **frame, "line": {"color": SEARCH, "width": 4}}


def _numbers(search: Search) -> Iterator[dict[str, Any]]:
    """Numbers of the visits; annotations of plotly without their axes."""
    for number, row in enumerate(search.visited, start=1):
        look = {"font": {"size": 10, "color": "white"}, "bgcolor": SEARCH, "borderpad": 1, "showarrow": False}
        yield {"x": search.column + BESIDE, "y": row, "text": str(number), **look}


def _legend(table: pd.DataFrame) -> Iterator[str]:
    """Explain the signs that occur."""
    statuses = set(table["status"])
    for status, sign in SIGNS.items():
        if sign and status in statuses:
            yield f"{sign} {status}" + (f" ({_diverged(table)})" if status == "diverged" else "")
    if any(status == "ok" and regime is None for status, regime in zip(table["status"], table["regime"], strict=True)):
        yield f"{UNDEFINED} regime undefined"


def _diverged(table: pd.DataFrame) -> str:
    """How many siblings diverged, and what follows."""
    some = table[table["n_diverged"] > 0]
    return f"{some['n_diverged'].sum():g} siblings in {len(some)} cells; without a regime where a third or more did"


def _mark(cell: Mapping[Hashable, Any]) -> str:
    return (_none_if_missing(cell["regime"]) or "") + SIGNS[cell["status"]] or UNDEFINED


def _hover(cell: Mapping[Hashable, Any]) -> str:
    lines = [
        f"<b>{cell['temperature_axis']} {cell['temperature']:g}, {cell['load_axis']} {cell['load']:g}</b>",
        f"regime {_none_if_missing(cell['regime']) or 'undefined'}, status {cell['status']}",
    ]
    for name in ("test_error", "lmc", "cka"):
        spread = [(cell[f"{name}_se"], "siblings"), (cell[f"{name}_se_dense"], "dense seeds")]
        known = [f"± {error:.4f} over {what}" for error, what in spread if not math.isnan(error)]
        lines.append(" ".join([f"{name} {cell[name]:.4f}", ", ".join(known)]))
    for name in ("normalized_test_error", "validation_error", "dense_validation_error"):
        if not math.isnan(cell[name]):
            lines.append(f"{name} {cell[name]:.4f}")
    if not math.isnan(cell["n_runs"]):
        lines.append(f"{cell['n_runs']:g} siblings, {cell['n_pairs']:g} pairs, {cell['n_dense_seeds']:g} dense seeds")
    if cell["n_diverged"] > 0:
        lines.append(f"{cell['n_diverged']:g} siblings diverged, and are in no mean")
    return "<br>".join(lines)


def _none_if_missing(regime: object) -> str | None:
    return regime if isinstance(regime, str) else None


def _all_nan(values: list[list[float]]) -> bool:
    return all(math.isnan(value) for row in values for value in row)


def _largest(values: list[list[float]]) -> float:
    return max((value for row in values for value in row if not math.isnan(value)), default=0.0)


def _smallest(values: list[list[float]]) -> float:
    return min((value for row in values for value in row if not math.isnan(value)), default=0.0)
