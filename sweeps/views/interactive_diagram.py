"""Draws a phase diagram for browsers, as one HTML file or as JSON for a page."""

import json
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

from sweeps.views.diagram import (
    BESIDE,
    MARK_BESIDE,
    ROOM,
    ROOM_BESIDE,
    SEARCH,
    Border,
    Curve,
    PhaseDiagram,
    Search,
    thinned,
)
from sweeps.views.diagram_page import page
from sweeps.views.layers import Layer, Panel
from sweeps.views.shades import NOTHING

LETTERS = 11
SMALLEST_LETTERS = 7
LETTER_WIDTH = 0.62
"""Of a letter's size; and what is below 7 pixels is not written."""

NARROWEST, WIDEST = 300, 740
"""Least width of a panel: a window of 800 pixels has room for two, or for one of the widest."""

TALLEST_CELL, SHORTEST_CELL, ALL_CELLS = 46, 13, 420
"""Heights of a cell, and of all together unless that makes them the shortest."""

LOWEST = 180
"""Height of all cells together at least: the axis's title has it."""

BAR = (10, 22)
"""Where a colour bar begins and ends, to the right of its panel."""

HALO = ", ".join(["0 0 2px {0}"] * 4)
"""Of letters over curves."""

MARGIN = {"t": 36, "b": 46, "l": 56, "r": 74}
MOST_LABELS = 30


def draw(diagram: PhaseDiagram, title: str, caption: str, searches: Sequence[Search] = ()) -> str:
    """Draw the panels as one HTML page that needs nothing else, over them the way of searches."""
    drawn = draw_json(diagram, title, caption, searches).replace("</", "<\\/")
    return page(title, f"<script>{plotly_script()}</script>", f"show({drawn});")


def draw_json(diagram: PhaseDiagram, title: str, caption: str, searches: Sequence[Search] = ()) -> str:
    """Draw the same as JSON for a page that has :func:`plotly_script`: texts, a figure for each panel, their width."""
    width = _width(diagram)
    figures = ", ".join(_figure(diagram, panel, width, searches).to_json() for panel in diagram.panels)
    texts = f'"title": {json.dumps(title)}, "caption": {json.dumps(caption)}'
    return f'{{{texts}, "width": {width}, "figures": [{figures}]}}'


def plotly_script() -> str:
    """Plotly for browsers."""
    from plotly.offline import get_plotlyjs

    return str(get_plotlyjs())


def _width(diagram: PhaseDiagram) -> int:
    """Pixels that a panel needs for its letters."""
    longest = max(len(mark) for row in diagram.marks for mark in row)
    cell = max(30, round(longest * LETTERS * LETTER_WIDTH / ROOM))
    return min(max(MARGIN["l"] + MARGIN["r"] + cell * len(diagram.loads), NARROWEST), WIDEST)


def _figure(diagram: PhaseDiagram, panel: Panel, width: int, searches: Sequence[Search]) -> Any:
    import plotly.graph_objects as go

    rows, columns = len(diagram.temperatures), len(diagram.loads)
    height = max(SHORTEST_CELL, min(TALLEST_CELL, ALL_CELLS / rows), LOWEST / rows)
    places = {"x": list(range(columns)), "y": list(range(rows))}
    colors = [list(layer.scale) for layer in panel.layers]
    bars = [_Bar(layer, place, len(panel.layers)) for place, layer in enumerate(panel.layers)]
    data: list[dict[str, Any]] = [
        {
            "type": "heatmap",
            "z": layer.values,
            "zmin": layer.low,
            "zmax": layer.high,
            **places,
            "colorscale": color,
            "colorbar": bar.look(),
            "hoverinfo": "skip",
            "xgap": 1,
            "ygap": 1,
        }
        for layer, color, bar in zip(panel.layers, colors, bars, strict=True)
    ]
    for curve in diagram.curves:
        data += _curve(curve)
    data += _clipped(panel)
    letters = min(LETTERS, _room(diagram, panel, width, height, ROOM_BESIDE if searches else ROOM))
    if letters >= SMALLEST_LETTERS:
        data.append(_letters(diagram, panel, letters, MARK_BESIDE if searches else 0))
    clear = {"colorscale": ["rgba(0,0,0,0)", "rgba(0,0,0,0)"], "showscale": False}
    hover = {"customdata": diagram.hover, "hovertemplate": "%{customdata}<extra></extra>"}
    data.append({"type": "heatmap", "z": [[0] * columns] * rows, **places, **clear, **hover})
    shapes = list(_borders(diagram.borders))
    shapes += [shape for search in searches for shape in _way(search)]
    shapes += [shape for bar in bars for shape in bar.shapes()]
    axis = {"showgrid": False, "zeroline": False, "automargin": True, "tickmode": "array", "ticks": "outside"}
    shown = [thinned(labels, MOST_LABELS) for labels in (diagram.loads, diagram.temperatures)]
    x = {"tickvals": shown[0], "ticktext": [diagram.loads[place] for place in shown[0]], "range": [-0.5, columns - 0.5]}
    y = {
        "tickvals": shown[1],
        "ticktext": [diagram.temperatures[place] for place in shown[1]],
        "range": [rows - 0.5, -0.5],
    }
    layout = {
        "title": {"text": panel.title, "x": 0.02, "y": 1, "yanchor": "top", "pad": {"t": 8}, "font": {"size": 15}},
        "xaxis": {"title": {"text": "<br>".join(diagram.load_title), "font": {"size": 12}}, **axis, **x},
        "yaxis": {"title": {"text": "<br>".join(diagram.temperature_title), "font": {"size": 12}}, **axis, **y},
        "height": round(MARGIN["t"] + MARGIN["b"] + height * rows + 20),
        "margin": MARGIN,
        "plot_bgcolor": NOTHING,
        "showlegend": False,
        "shapes": shapes,
        "annotations": [number for search in searches for number in _numbers(search)],
    }
    return go.Figure({"data": data, "layout": layout})


class _Bar:
    """The colour bar of one of so many layers, from top to bottom."""

    def __init__(self, layer: Layer, place: int, count: int) -> None:
        self._layer = layer
        self._top = 1 - place / count
        self._bottom = self._top - (0.76 if count > 1 else 1) / count

    def look(self) -> dict[str, Any]:
        layer = self._layer
        return {
            "x": 1,
            "xanchor": "left",
            "xpad": BAR[0],
            "thickness": BAR[1] - BAR[0],
            "outlinewidth": 0,
            "y": self._bottom,
            "yanchor": "bottom",
            "len": self._top - self._bottom,
            "ypad": 0,
            "tickvals": [value for value, _ in layer.ticks],
            "ticktext": [f"<b>{text}</b>" if value == layer.threshold else text for value, text in layer.ticks],
            "tickfont": {"size": 10},
            "title": {"text": layer.title, "font": {"size": 11}},
        }

    def shapes(self) -> Iterator[dict[str, Any]]:
        """A pointer to the threshold, and arrows at ends beyond which there are values."""
        layer = self._layer
        beside = {"xref": "paper", "yref": "paper", "xsizemode": "pixel", "xanchor": 1, "ysizemode": "pixel"}
        if layer.threshold is not None:
            share = (layer.threshold - layer.low) / (layer.high - layer.low)
            y = self._bottom + share * (self._top - self._bottom)
            path = f"M{BAR[0] - 8},5 L{BAR[0] - 8},-5 L{BAR[0] - 1},0 Z"
            yield {"type": "path", "path": path, "yanchor": y, "fillcolor": "black", "line": {"width": 0}, **beside}
        middle = sum(BAR) / 2
        for is_beyond, y, up, color in zip(
            layer.ends, (self._bottom, self._top), (-1, 1), layer.scale[:: len(layer.scale) - 1], strict=True
        ):
            if is_beyond:
                path = f"M{BAR[0]},0 L{BAR[1]},0 L{middle},{9 * up} Z"
                look = {"fillcolor": color, "line": {"width": 1, "color": "black"}}
                yield {"type": "path", "path": path, "yanchor": y, **beside, **look}


def _room(diagram: PhaseDiagram, panel: Panel, width: int, height: float, share: float) -> float:
    """Size of letters for which cells have room, in the narrowest panel."""
    longest = max(len(text) for lines in (diagram.marks, panel.others) for row in lines for text in row)
    lines = 2 if any(map(any, panel.others)) else 1
    cell = (width - MARGIN["l"] - MARGIN["r"]) / len(diagram.loads)
    return min(share * cell / (longest * LETTER_WIDTH), (height - 2) / (1.3 * lines))


def _letters(diagram: PhaseDiagram, panel: Panel, size: float, aside: float) -> dict[str, Any]:
    """Marks on the cells, and other possible regimes below."""
    cells = [(row, column) for row, marks in enumerate(diagram.marks) for column in range(len(marks))]
    inks = panel.inks
    texts = [(diagram.marks[row][column], panel.others[row][column]) for row, column in cells]
    return {
        "type": "scatter",
        "mode": "text",
        "hoverinfo": "skip",
        "x": [column + aside for _, column in cells],
        "y": [row for row, _ in cells],
        "text": ["<br>".join(filter(None, lines)) for lines in texts],
        "textfont": {
            "size": round(size, 1),
            "color": [inks[row][column] for row, column in cells],
            "shadow": [HALO.format(panel.colors[row][column]) if diagram.curves else "none" for row, column in cells],
        },
    }


def _clipped(panel: Panel) -> Iterator[dict[str, Any]]:
    """A triangle in a corner of each cell that is beyond its scale."""
    if panel.clipped:
        inks = panel.inks
        yield {
            "type": "scatter",
            "mode": "markers",
            "hoverinfo": "skip",
            "x": [column - 0.36 for _, column, _ in panel.clipped],
            "y": [row - 0.3 for row, _, _ in panel.clipped],
            "marker": {
                "symbol": ["triangle-up" if beyond > 0 else "triangle-down" for _, _, beyond in panel.clipped],
                "color": [inks[row][column] for row, column, _ in panel.clipped],
                "size": 7,
            },
        }


def _borders(borders: Sequence[Border]) -> Iterator[dict[str, Any]]:
    """A shape for each look of lines: with one for each line a large grid took a browser minutes."""
    firm = ({"color": "black", "width": 5}, {"color": "white", "width": 2})
    faint = ({"color": "white", "width": 1.5}, {"color": "black", "width": 1.5, "dash": "3px,4px"})
    for is_sure, looks in ((False, faint), (True, firm)):
        path = " ".join(f"M{each.x0},{each.y0} L{each.x1},{each.y1}" for each in borders if each.is_sure == is_sure)
        for line in looks if path else ():
            yield {"type": "path", "path": path, "line": line}


def _curve(curve: Curve) -> Iterator[dict[str, Any]]:
    """The band of a fitted border, and the border over it."""
    common = {"type": "scatter", "mode": "lines", "hoverinfo": "skip"}
    for rows, low, high in curve.band():
        look = {
            "fill": "toself",
            "fillcolor": "rgba(255,255,255,0.2)",
            "line": {"color": "black", "width": 1, "dash": "dot"},
        }
        yield {**common, **look, "x": [*low, *reversed(high)], "y": [*rows, *reversed(rows)]}
    for line in ({"color": "white", "width": 4}, {"color": "black", "width": 2}):
        yield {**common, "x": curve.places, "y": curve.rows, "line": line, "opacity": 0.5}  # letters are read over it


def _way(search: Search) -> Iterator[dict[str, Any]]:
    """Lines from visit to visit, and a frame around the choice."""
    x = search.column + BESIDE
    for y0, y1 in pairwise(search.visited):
        yield {"type": "line", "x0": x, "y0": y0, "x1": x, "y1": y1, "line": {"color": SEARCH, "width": 3}}
    if search.chosen is not None:
        left, right, top, bottom = (place + side for place in (search.column, search.chosen) for side in (-0.46, 0.46))
        frame = {"x0": left, "x1": right, "y0": top, "y1": bottom}
        yield {"type": "rect", **frame, "line": {"color": SEARCH, "width": 4}}


def _numbers(search: Search) -> Iterator[dict[str, Any]]:
    """Numbers of the visits."""
    for number, row in enumerate(search.visited, start=1):
        look = {"font": {"size": 10, "color": "white"}, "bgcolor": SEARCH, "borderpad": 1, "showarrow": False}
        yield {"x": search.column + BESIDE, "y": row, "text": str(number), **look}
