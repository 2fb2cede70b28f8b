"""Draws curves for browsers, as one HTML file or as JSON for a page."""

import json
import math
from collections.abc import Collection, Iterator
from typing import Any

from sweeps.views.charts import Chart, Charts, Line, Matrix
from sweeps.views.diagram_page import page
from sweeps.views.interactive_diagram import plotly_script
from sweeps.views.shades import NOTHING

WIDTH, HEIGHT = 420, 330
BAND = 0.16
"""How much a band covers what is below it."""

DIVERGING = [[0, "#b2182b"], [0.5, "#f7f7f7"], [1, "#2166ac"]]


def draw(charts: Charts) -> str:
    """One HTML page that needs nothing else."""
    drawn = draw_json(charts).replace("</", "<\\/")
    return page(charts.title, f"<script>{plotly_script()}</script>", f"show({drawn});")


def draw_json(charts: Charts) -> str:
    """The same as JSON for a page that has plotly: texts, a figure for each chart, their width."""
    import plotly.graph_objects as go

    figures, named = [], set[str]()
    for chart in charts.charts:
        if isinstance(chart, Matrix):
            figures.append(go.Figure(_matrix(chart)).to_json())
            continue
        new = {line.name for line in chart.lines} - named
        figures.append(go.Figure(_chart(chart, charts, new)).to_json())
        named |= new
    texts = f'"title": {json.dumps(charts.title)}, "caption": {json.dumps(charts.caption)}'
    return f'{{{texts}, "width": {WIDTH}, "figures": [{", ".join(figures)}]}}'


def _chart(chart: Chart, charts: Charts, named: Collection[str]) -> dict[str, Any]:
    """A figure whose legend has these names, which no chart before had."""
    data = [trace for line in chart.lines for trace in _line(line, *charts.looks[line.name], line.name in named)]
    shapes = []
    if chart.level is not None:
        look = {"color": "#666666", "width": 1, "dash": "dot"}
        shapes.append(
            {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": chart.level, "y1": chart.level} | {"line": look}
        )
    axis = {"automargin": True, "gridcolor": "#e6e6e6", "zeroline": False}
    layout = _layout(chart.title, HEIGHT + 18 * len(named)) | {
        "xaxis": axis | {"title": {"text": chart.x_title}, "type": "log" if chart.log_x else "linear"},
        "yaxis": axis | {"title": {"text": chart.y_title}, "type": "log" if chart.log_y else "linear"},
        "shapes": shapes,
        "showlegend": bool(named),
        "legend": {"orientation": "h", "y": -0.25, "yanchor": "top"},
        "plot_bgcolor": "white",
    }
    return {"data": data, "layout": layout}


def _line(line: Line, color: str, dash: str, has_legend: bool) -> Iterator[dict[str, Any]]:
    """The band, and the line over it."""
    common = {"type": "scatter", "legendgroup": line.name, "name": line.name}
    if band := [each for each in zip(line.x, line.low, line.high, strict=False) if not any(map(math.isnan, each))]:
        x, low, high = zip(*band, strict=True)
        yield common | {
            "x": [*x, *reversed(x)],
            "y": [*low, *reversed(high)],
            "mode": "lines",
            "line": {"width": 0},
            "fill": "toself",
            "fillcolor": f"rgba({', '.join(str(int(color[at : at + 2], 16)) for at in (1, 3, 5))}, {BAND})",
            "hoverinfo": "skip",
            "showlegend": False,
        }
    hollow = [*line.hollow, *[False] * (len(line.x) - len(line.hollow))]
    symbols = ["circle-open" if own else "circle" for own in hollow]
    hover = "%{x}: %{y:.4g}" + f"<extra>{line.name}</extra>"
    look = {"color": color, "width": 2, "dash": dash}
    yield common | {
        "x": list(line.x),
        "y": [None if math.isnan(value) else value for value in line.y],
        "mode": "lines+markers",
        "marker": {"size": [8 if own else 4 for own in hollow], "color": color, "symbol": symbols},
        "line": look,
        "hovertemplate": hover,
        "showlegend": has_legend,
    }


def _matrix(matrix: Matrix) -> dict[str, Any]:
    values = [[None if math.isnan(value) else value for value in row] for row in matrix.values]
    texts = [["" if value is None else f"{value:.2f}" for value in row] for row in values]
    heat = {
        "type": "heatmap",
        "z": values,
        "x": list(matrix.names),
        "y": list(matrix.names),
        "zmin": -1,
        "zmax": 1,
        "colorscale": DIVERGING,
        "text": texts,
        "texttemplate": "%{text}",
        "hovertemplate": "%{y}, %{x}: %{z:.3f}<extra></extra>",
    }
    axes = {"xaxis": {"automargin": True}, "yaxis": {"automargin": True, "autorange": "reversed"}}
    return {"data": [heat], "layout": _layout(matrix.title, HEIGHT + 60) | axes | {"plot_bgcolor": NOTHING}}


def _layout(title: str, height: int) -> dict[str, Any]:
    text = {
        "text": title.replace("\n", ", "),
        "x": 0.02,
        "y": 1,
        "yanchor": "top",
        "pad": {"t": 8},
        "font": {"size": 15},
    }
    return {"title": text, "height": height, "margin": {"t": 36, "b": 46, "l": 56, "r": 20}, "font": {"size": 12}}
