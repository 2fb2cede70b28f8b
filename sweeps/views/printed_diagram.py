"""Draws a phase diagram for a paper, as SVG, PDF or PNG. Needs no display.

The same results give the same bytes: no times, fixed names of elements.
"""

import io
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

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
from sweeps.views.layers import Layer, Panel
from sweeps.views.paper import Paper

DPI = 300
SMALLEST_LETTERS = 3.5
READABLE_LETTERS = 5.0
"""Points: no smaller letters are written; and panels are so wide that they have these, if one has room at all."""

HINTED = 1.15
"""So much wider than their outlines small letters are drawn, about."""

MOST_ACROSS = 3
TALLEST = 9 * 72
"""Points; a picture is no taller unless that makes its cells the shortest."""

LOWEST = 18.0
"""Of a letter's size; height of all cells of a panel at least: the axis's title has it."""

TALLEST_CELL, SHORTEST_CELL, ALL_CELLS = 22.0, 8.0, 190.0
"""Points; heights of a cell, and of all of a panel unless that makes them the shortest."""

STYLE: Any = {
    "font.family": "DejaVu Sans",  # comes with matplotlib: the same everywhere
    "pdf.fonttype": 42,  # embedded as TrueType, as publishers ask
    "svg.hashsalt": "phase diagram",
    "axes.linewidth": 0.5,
    "xtick.major.width": 0.5,
    "ytick.major.width": 0.5,
    "xtick.major.size": 2,
    "ytick.major.size": 2,
}
UNTIMED: dict[str, dict[str, Any]] = {
    "svg": {"Date": None},
    "pdf": {"CreationDate": None, "ModDate": None},
    "png": {},
}


def draw_printed(
    diagram: PhaseDiagram, caption: str, kind: str, paper: Paper, searches: Sequence[Search] = ()
) -> bytes:
    """Draw the panels, over them the way of searches and below them the caption.

    Args:
        diagram: What it shows.
        caption: Text below.
        kind: svg, pdf or png.
        paper: How large.
        searches: Ways over the cells.
    """
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with rc_context(STYLE | {"font.size": paper.font_size}):
        figure = Figure(figsize=(paper.width, 1), layout="constrained")
        FigureCanvasAgg(figure)
        _Picture(figure, diagram, paper).draw(caption, searches)
        content = io.BytesIO()
        figure.savefig(content, format=kind, dpi=DPI, metadata=UNTIMED[kind])
    return content.getvalue()


class _Picture:
    """A figure that is being drawn."""

    def __init__(self, figure: Any, diagram: PhaseDiagram, paper: Paper) -> None:
        self._figure, self._diagram, self._paper = figure, diagram, paper
        self._small = 0.86 * paper.font_size
        self._rows, self._columns = len(diagram.temperatures), len(diagram.loads)

    def draw(self, caption: str, searches: Sequence[Search]) -> None:
        panels, size = self._diagram.panels, self._paper.font_size
        across = self._across()
        down = -(-len(panels) // across)
        lines = self._wrapped(caption)
        below = (len(lines) * 1.35 + 0.8) * self._small if caption else 0.0
        labels = max(map(len, self._diagram.loads))
        around = (5.6 + min(labels, 12) * 0.3) * size
        room = min(ALL_CELLS, (TALLEST - below) / down - around)
        cell = max(SHORTEST_CELL, min(TALLEST_CELL, room / self._rows))
        height = down * (max(cell * self._rows, LOWEST * self._small) + around) + below
        self._figure.set_size_inches(self._paper.width, height / 72)
        self._figure.get_layout_engine().set(rect=(0, below / height, 1, 1 - below / height), wspace=0.03, hspace=0.03)
        axes = self._figure.subplots(down, across, squeeze=False).ravel()
        for axis, panel in zip(axes, panels, strict=False):
            self._panel(axis, panel, searches)
        for place, axis in enumerate(axes):
            if place >= len(panels):
                axis.remove()
            if place + across < len(panels):
                axis.set_xlabel("")
            if place % across:
                axis.set_ylabel("")
        self._figure.text(
            0.01, 0.5 * self._small / height, "\n".join(lines), size=self._small, va="bottom", linespacing=1.25
        )
        self._figure.draw_without_rendering()
        self._turn_labels()
        self._figure.set_layout_engine("none")
        for axis in self._figure.axes:  # their last digits differ from time to time
            axis.set_position([round(place, 6) for place in axis.get_position().bounds])
        for axis, panel in zip(self._figure.axes, panels, strict=False):
            self._letters(axis, panel, searches)

    def _across(self) -> int:
        """How many panels are beside each other: as many as have room for letters, one at least."""
        longest = max(len(text) for row in self._diagram.marks for text in row)
        size, width = self._paper.font_size, 72 * self._paper.width
        beside = (2.2 + 0.6 * min(max(map(len, self._diagram.temperatures)), 12) + 4.6) * size
        need = beside + self._columns * max(longest, 3) * 0.5 * READABLE_LETTERS
        return max(1, min(MOST_ACROSS, len(self._diagram.panels), int(width / need)))

    def _panel(self, axis: Any, panel: Panel, searches: Sequence[Search]) -> None:
        from matplotlib.colors import to_rgb

        colors = np.array([[to_rgb(color) for color in row] for row in panel.colors])
        extent = (-0.5, self._columns - 0.5, self._rows - 0.5, -0.5)
        axis.pcolormesh(
            np.arange(self._columns + 1) - 0.5,
            np.arange(self._rows + 1) - 0.5,
            colors,
            edgecolors="white",
            linewidth=0.3,
        )
        axis.set_xlim(extent[:2])
        axis.set_ylim(extent[2:])
        axis.set_title(panel.title, size=self._paper.font_size)
        for name, labels, title in (
            ("x", self._diagram.loads, "\n".join(self._diagram.load_title)),
            ("y", self._diagram.temperatures, "\n".join(self._diagram.temperature_title)),
        ):
            shown = thinned(labels, 40)
            getattr(axis, f"set_{name}ticks")(shown, [labels[place] for place in shown], size=self._small)
            getattr(axis, f"set_{name}label")(title, size=self._small)
        for place, layer in enumerate(panel.layers):
            self._bar(axis, layer, place, len(panel.layers))
        _draw_borders(axis, self._diagram.borders)
        for curve in self._diagram.curves:
            _draw_curve(axis, curve)
        for search in searches:
            _draw_way(axis, search)

    def _bar(self, axis: Any, layer: Layer, place: int, count: int) -> None:
        """The colour bar of one of so many layers, from top to bottom."""
        from matplotlib.cm import ScalarMappable
        from matplotlib.colors import LinearSegmentedColormap, Normalize

        height = (0.6 if count > 1 else 1) / count
        inset = axis.inset_axes((1.03, 1 - (place + 1) / count, 0.05, height))
        scale = LinearSegmentedColormap.from_list("", list(layer.scale))
        extend = {(False, False): "neither", (True, False): "min", (False, True): "max", (True, True): "both"}[
            layer.ends
        ]
        mappable = ScalarMappable(Normalize(layer.low, layer.high), scale)
        bar = self._figure.colorbar(mappable, cax=inset, extend=extend, extendfrac=0.06)
        bar.outline.set_linewidth(0.4)
        inset.tick_params(length=1.5, pad=1.5)
        values, labels = [value for value, _ in layer.ticks], [text for _, text in layer.ticks]
        bar.set_ticks(values, labels=labels, size=self._small * (0.9 if layer.title else 1))
        if layer.title:
            inset.set_title(layer.title, size=self._small * 0.9, pad=2.5, loc="left")
        if layer.threshold is not None:
            for color, width in (("white", 2.0), ("black", 1.0)):
                inset.plot([-0.2, 1.2], [layer.threshold] * 2, color=color, linewidth=width, clip_on=False)
            bar.ax.get_yticklabels()[values.index(layer.threshold)].set_fontweight("bold")

    def _wrapped(self, text: str) -> list[str]:
        """Lines of the figure's width."""
        from matplotlib.textpath import TextPath

        lines: list[str] = []
        for word in text.split():
            longer = f"{lines[-1]} {word}" if lines else word
            fits = TextPath((0, 0), longer, size=self._small).get_extents().width < 0.97 * 72 * self._paper.width
            lines = [*lines[:-1], longer] if lines and fits else [*lines, word]
        return lines

    def _turn_labels(self) -> None:
        """Set labels of columns upright where they would run into each other, and lay out anew."""
        for axis in self._figure.axes:
            widths = [label.get_window_extent().width for label in axis.get_xticklabels()]
            if max(widths) > 0.92 * axis.get_window_extent().width / len(widths):
                axis.tick_params(axis="x", rotation=90)
            if axis.xaxis.label.get_window_extent().width > 1.1 * axis.get_window_extent().width:
                axis.set_xlabel(axis.get_xlabel().replace(" (", "\n("))
        self._figure.draw_without_rendering()

    def _letters(self, axis: Any, panel: Panel, searches: Sequence[Search]) -> None:
        """Marks of the cells, as large as they have room for, and triangles on those that are beyond their scale."""
        from matplotlib.patheffects import withStroke
        from matplotlib.textpath import TextPath

        diagram, box = self._diagram, axis.get_window_extent()
        cell = (box.width / self._columns * 72 / self._figure.dpi, box.height / self._rows * 72 / self._figure.dpi)
        lines = 2 if any(map(any, panel.others)) else 1
        texts = {text for rows in (diagram.marks, panel.others) for row in rows for text in row if text}
        widest = max(
            (TextPath((0, 0), text, size=100).get_extents().width / 100 * HINTED for text in texts), default=1.0
        )
        size = min(
            0.82 * self._paper.font_size, (ROOM_BESIDE if searches else ROOM) * cell[0] / widest, 0.8 * cell[1] / lines
        )
        inks, aside = panel.inks, MARK_BESIDE if searches else 0
        if size >= SMALLEST_LETTERS:
            for row, marks in enumerate(diagram.marks):
                for column, mark in enumerate(marks):
                    text = "\n".join(filter(None, (mark, panel.others[row][column])))
                    look: dict[str, Any] = {"size": size, "ha": "center", "va": "center", "linespacing": 0.95}
                    if diagram.curves:
                        look["path_effects"] = [withStroke(linewidth=2.2, foreground=panel.colors[row][column])]
                    axis.text(column + aside, row, text, color=inks[row][column], **look)
        for row, column, beyond in panel.clipped:
            side = 0.16 * min(cell)
            x, y = column - 0.34, row - 0.28
            axis.plot(
                x, y, "^" if beyond > 0 else "v", color=inks[row][column], markersize=max(side, 1.5), markeredgewidth=0
            )


def _draw_borders(axis: Any, borders: Sequence[Border]) -> None:
    """All lines of one look at once, parted by NaN: with one by one a large grid took minutes."""
    firm = [{"color": "black", "linewidth": 2.4}, {"color": "white", "linewidth": 1.0}]
    faint = [{"color": "white", "linewidth": 0.7}, {"color": "black", "linewidth": 0.7, "linestyle": (0, (2, 2.5))}]
    for is_sure, looks in ((False, faint), (True, firm)):
        own = [each for each in borders if each.is_sure == is_sure]
        x = [place for each in own for place in (each.x0, each.x1, np.nan)]
        y = [place for each in own for place in (each.y0, each.y1, np.nan)]
        for look in looks if own else ():
            axis.plot(x, y, solid_capstyle="butt", clip_on=False, **look)


def _draw_curve(axis: Any, curve: Curve) -> None:
    """The band of a fitted border, and the border over it."""
    for rows, low, high in curve.band():
        axis.fill_betweenx(rows, low, high, facecolor=(1, 1, 1, 0.2), edgecolor="black", linewidth=0.6, linestyle=":")
    for color, width in (("white", 2.4), ("black", 1.1)):
        axis.plot(curve.places, curve.rows, color=color, linewidth=width)


def _draw_way(axis: Any, search: Search) -> None:
    """Lines from visit to visit with their numbers, and a frame around the choice."""
    from matplotlib.patches import Rectangle

    x = search.column + BESIDE
    for y0, y1 in pairwise(search.visited):
        axis.plot([x, x], [y0, y1], color=SEARCH, linewidth=1.2)
    for number, row in enumerate(search.visited, start=1):
        box = {"facecolor": SEARCH, "edgecolor": "none", "boxstyle": "square,pad=0.1"}
        axis.text(x, row, str(number), color="white", size=4.5, ha="center", va="center", bbox=box, zorder=4)
    if search.chosen is not None:
        corner = (search.column - 0.46, search.chosen - 0.46)
        axis.add_patch(Rectangle(corner, 0.92, 0.92, fill=False, edgecolor=SEARCH, linewidth=1.6, zorder=3))
