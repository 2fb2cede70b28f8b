"""Draws curves for a paper, as SVG, PDF or PNG; needs no display. The same results give the same bytes."""

import io
import math
import textwrap
from typing import Any
from warnings import catch_warnings, simplefilter

import numpy as np

from sweeps.views.charts import Chart, Charts, Line, Matrix
from sweeps.views.paper import Paper
from sweeps.views.printed_diagram import DPI, STYLE, UNTIMED

TALL = 0.82
"""Height of a chart, of its width."""

BAND = 0.16
DASHES: dict[str, Any] = {"solid": "-", "dash": (0, (4, 2)), "dot": (0, (1, 1.5))}


def draw_printed_charts(charts: Charts, kind: str, paper: Paper) -> bytes:
    """Draw the charts, below them their legend and the caption.

    Args:
        charts: What they show.
        kind: svg, pdf or png.
        paper: How large.
    """
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    across = min(charts.across if paper.columns == "2" else 1, len(charts.charts))
    down = -(-len(charts.charts) // across)
    caption = textwrap.fill(charts.caption, round(paper.width * 72 / paper.font_size * 2.1))
    small = 0.86 * paper.font_size
    rows = -(-len(charts.looks) // _columns(charts, paper))
    below = (1.35 * (caption.count("\n") + 1) + 1.6 * rows + 1.2) * small / 72
    height = down * TALL * paper.width / across + below
    with (
        catch_warnings(),
        rc_context(STYLE | {"font.size": paper.font_size, "axes.spines.top": False, "axes.spines.right": False}),
    ):
        simplefilter("ignore", UserWarning)  # curves may be constant
        figure: Any = Figure(figsize=(paper.width, height), layout="constrained")
        FigureCanvasAgg(figure)
        figure.get_layout_engine().set(rect=(0, below / height, 1, 1 - below / height))
        axes = figure.subplots(down, across, squeeze=False).ravel()
        for axis, chart in zip(axes, charts.charts, strict=False):
            if isinstance(chart, Matrix):
                _matrix(axis, chart, small)
            else:
                _chart(axis, chart, charts, paper.font_size)
        for axis in axes[len(charts.charts) :]:
            axis.remove()
        _legend(figure, charts, paper, small, (below - 0.4 * small / 72) / height)
        figure.text(0.01, 0.5 * small / 72 / height, caption, size=small, va="bottom", linespacing=1.25)
        figure.draw_without_rendering()
        figure.set_layout_engine("none")
        for axis in figure.axes:  # their last digits differ from time to time
            axis.set_position([round(place, 6) for place in axis.get_position().bounds])
        content = io.BytesIO()
        figure.savefig(content, format=kind, dpi=DPI, metadata=UNTIMED[kind])
    return content.getvalue()


def _columns(charts: Charts, paper: Paper) -> int:
    """Names beside each other in the legend."""
    longest = max(map(len, charts.looks), default=1)
    return max(1, int(paper.width * 72 / ((longest * 0.55 + 4.5) * paper.font_size)))


def _legend(figure: Any, charts: Charts, paper: Paper, small: float, top: float) -> None:
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], color=color, linestyle=DASHES[dash], label=name, linewidth=1.2)
        for name, (color, dash) in charts.looks.items()
    ]
    if handles:
        look: dict[str, Any] = {"frameon": False, "fontsize": small, "borderpad": 0, "labelspacing": 0.3}
        figure.legend(
            handles=handles, loc="upper center", bbox_to_anchor=(0.5, top), ncols=_columns(charts, paper), **look
        )


def _chart(axis: Any, chart: Chart, charts: Charts, size: float) -> None:
    axis.set_title(chart.title, size=size)
    axis.set_xlabel(chart.x_title, size=0.86 * size)
    axis.set_ylabel(chart.y_title, size=0.86 * size)
    axis.tick_params(labelsize=0.86 * size)
    for name, is_log in (("x", chart.log_x), ("y", chart.log_y)):
        if is_log:
            _logarithmic(axis, name)
    axis.grid(color="#e6e6e6", linewidth=0.4)
    axis.set_axisbelow(True)
    if chart.level is not None:
        axis.axhline(chart.level, color="#666666", linewidth=0.6, linestyle=":")
    for line in chart.lines:
        _line(axis, line, *charts.looks[line.name])


def _logarithmic(axis: Any, name: str) -> None:
    """Numbers as people write them, 1, 2 and 5 of each power of ten."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    getattr(axis, f"set_{name}scale")("log")
    ticks = getattr(axis, f"{name}axis")
    ticks.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ticks.set_major_formatter(FuncFormatter(lambda value, place: f"{value:g}"))
    ticks.set_minor_formatter(NullFormatter())


def _line(axis: Any, line: Line, color: str, dash: str) -> None:
    band = [each for each in zip(line.x, line.low, line.high, strict=False) if not any(map(math.isnan, each))]
    if band:
        x, low, high = np.array(band).T
        axis.fill_between(x, low, high, color=color, alpha=BAND, linewidth=0)
    axis.plot(line.x, line.y, color=color, linestyle=DASHES[dash], linewidth=1.0, marker="o", markersize=1.8)
    for x, y, is_hollow in zip(line.x, line.y, line.hollow, strict=False):
        if is_hollow:
            axis.plot(x, y, "o", color=color, markerfacecolor="white", markersize=4)


def _matrix(axis: Any, matrix: Matrix, small: float) -> None:
    from matplotlib.colors import LinearSegmentedColormap

    scale = LinearSegmentedColormap.from_list("", ["#b2182b", "#f7f7f7", "#2166ac"], bad="#d9d9d9")
    values = np.array(matrix.values, dtype=float)
    axis.imshow(np.ma.masked_invalid(values), vmin=-1, vmax=1, cmap=scale)
    axis.set_title(matrix.title, size=small / 0.86)
    places = range(len(matrix.names))
    axis.set_xticks(places, matrix.names, rotation=90, size=0.8 * small)
    axis.set_yticks(places, matrix.names, size=0.8 * small)
    for row, own in enumerate(values):
        for column, value in enumerate(own):
            if not math.isnan(value):
                ink = "white" if abs(value) > 0.7 else "black"
                axis.text(column, row, f"{value:.2f}", size=0.62 * small, ha="center", va="center", color=ink)
