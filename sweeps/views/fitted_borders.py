"""Fitted borders of the regimes as curves over the cells of a diagram."""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from metrics.regimes import Thresholds
from sweeps.results.border import SmoothBorder, smooth_borders
from sweeps.views.diagram import Curve, PhaseDiagram


def with_fitted_borders(
    diagram: PhaseDiagram, table: pd.DataFrame, thresholds: Thresholds, hot_is_low: bool
) -> PhaseDiagram:
    """Add the borders fitted to a diagram's table, in place of those between cells; its data say where they run."""
    loads = sorted(table["load"].unique())
    borders = smooth_borders(table, thresholds, hot_is_low)
    rows = sorted(table["temperature"].unique(), reverse=not hot_is_low)
    own = {
        f"border {border.name}{end}".replace(" | ", "_").replace(" ", "_").lower(): dict(zip(rows, values, strict=True))
        for border in borders
        for end, values in (("", border.loads), (" low", border.low), (" high", border.high))
    }
    data = diagram.data.assign(**{name: diagram.data["temperature"].map(values) for name, values in own.items()})
    curves = [_curve(border, loads) for border in borders]
    if not curves:
        return diagram
    return replace(diagram, borders=[], curves=curves, data=data)


def _curve(border: SmoothBorder, loads: Sequence[float]) -> Curve:
    """The border from the upper edge of the first row to the lower edge of the last."""
    rows = [-0.5, *range(len(border.loads)), len(border.loads) - 0.5]
    lines = ([_place(load, loads) for load in values] for values in (border.loads, border.low, border.high))
    return Curve(border.name, rows, *([line[0], *line, line[-1]] for line in lines))


def _place(load: float, loads: Sequence[float]) -> float:
    """Where a load lies among the columns, between two of which it is interpolated by its logarithm."""
    if math.isnan(load):
        return math.nan
    return float(np.interp(math.log(load), np.log(loads), range(len(loads))))
