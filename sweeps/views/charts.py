"""What a picture of curves shows, apart from how it is drawn."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import pandas as pd

LINE_COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#999999")
"""Colours of lines, which the colour-blind can tell apart (Okabe and Ito 2008), and grey."""

DASHES = ("solid", "dash", "dot")
"""Where there are more lines than colours."""


@dataclass(frozen=True)
class Line:
    """A curve with its band.

    Attributes:
        name: In the legend; lines of the same name look the same in all charts.
        x: Ascending; NaN are left out.
        y: Values; NaN interrupts the line.
        low: Where the band begins; NaN for none.
        high: Where it ends.
        hollow: Which values are only bounds; their markers are hollow. None if it is empty.
    """

    name: str
    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float] = ()
    high: Sequence[float] = ()
    hollow: Sequence[bool] = ()


@dataclass(frozen=True)
class Chart:
    """Curves over a common axis.

    Attributes:
        title: Of the chart.
        x_title: Of the horizontal axis.
        y_title: Of the vertical axis.
        lines: The curves.
        log_x: Whether the horizontal axis is logarithmic.
        log_y: Whether the vertical axis is.
        level: A horizontal line for comparison, if any.
    """

    title: str
    x_title: str
    y_title: str
    lines: Sequence[Line]
    log_x: bool = False
    log_y: bool = False
    level: float | None = None


@dataclass(frozen=True)
class Matrix:
    """A number in [-1, 1] for each pair.

    Attributes:
        title: Of the matrix.
        names: Of rows and columns.
        values: By row; NaN where not known.
    """

    title: str
    names: Sequence[str]
    values: Sequence[Sequence[float]]


@dataclass(frozen=True)
class Charts:
    """A picture: charts side by side and below each other.

    Attributes:
        title: Of all.
        caption: Below it.
        charts: Curves, and matrices.
        data: What is drawn, as a table.
        across: How many are beside each other at most.
    """

    title: str
    caption: str
    charts: Sequence[Chart | Matrix]
    data: pd.DataFrame = field(default_factory=pd.DataFrame)
    across: int = 3

    @property
    def looks(self) -> dict[str, tuple[str, str]]:
        """Colour and dash of each line by its name, in the order of their first appearance."""
        names = dict.fromkeys(line.name for chart in self.charts if isinstance(chart, Chart) for line in chart.lines)
        count = len(LINE_COLORS)
        return {
            name: (LINE_COLORS[place % count], DASHES[place // count % len(DASHES)]) for place, name in enumerate(names)
        }
