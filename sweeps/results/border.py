"""Borders of the regimes along the load, as monotone curves over the temperatures."""

from dataclasses import dataclass
from itertools import islice

import numpy as np
import numpy.typing as npt
import pandas as pd

from metrics.borders import crossing, monotone
from metrics.regimes import Thresholds, least_similar
from sweeps.results.phase import left_out
from sweeps.results.probabilities import BLOCK, draws, noise

BAND = (5, 95)
"""Percentiles of the draws between which the band lies."""

BAND_DRAWS = 500
"""Draws of each cell, of those that the probabilities are counted in."""

_LEAST_NOISE = 1e-3
"""Standard errors of LMC and CKA below it weigh no more: more than so exact is no measurement on some 1,000 images."""

_ROUNDING = 1e-9
"""In logarithms of the load: what so near the grid's end lies at it."""

_BORDERS = {"I | II": "lmc", "II-A | II-B": "cka"}

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class SmoothBorder:
    """A border of the regimes: a load for each temperature, with a band.

    Attributes:
        name: What it parts: ``I | II``, or ``II-A | II-B``.
        loads: Where it lies, for each temperature from hot to cold, in units of the load; NaN where it lies at the end
            of the grid's loads or outside, or nothing is known.
        low: The band's lower end, 5 % of the draws, at least the grid's smallest load; NaN where no noise is known.
        high: Its upper end, 95 %, at most the grid's largest load.
    """

    name: str
    loads: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]


def smooth_borders(table: pd.DataFrame, thresholds: Thresholds, hot_is_low: bool) -> tuple[SmoothBorder, ...]:
    """Fit the borders to a phase table.

    Of each temperature: LMC that grows with the load (its isotonic regression, weighted by the inverse of the variance
    of its noise) crosses its threshold somewhere, interpolated in the logarithm of the load; at the grid's end if all
    its cells are connected, or none is. Then these positions grow, or fall, from temperature to temperature, whichever
    fits better: isotonic regression, weighted by the inverse of their variance over the draws plus a twelfth of the
    square of a step of the grid. The paper's border grows to the cold; here nothing says that it has to. The same
    for CKA; Regime II-B begins where both are reached, so that the two borders meet where there is no II-A. The band is
    of the same fits to :func:`~sweeps.results.probabilities.draws`. All of it is our interpretation.

    Args:
        table: In columns of :data:`~sweeps.results.phase_schema.PHASE`, of a results folder or a user's table.
        thresholds: Boundaries of the regimes.
        hot_is_low: Whether a low temperature value is hot.

    Returns:
        The border of Regime I, then, where CKA is known, that of II-A and II-B.
    """
    temperatures, loads = (sorted(set(table[name])) for name in ("temperature", "load"))
    rows = table["temperature"].map((temperatures if hot_is_low else temperatures[::-1]).index)
    at = rows.to_numpy(), table["load"].map(loads.index).to_numpy()
    logs = np.log(loads)
    drawn = zip(*islice(draws(table), BAND_DRAWS // BLOCK), strict=True)
    borders, fits = list[SmoothBorder](), np.full((1 + BAND_DRAWS, len(temperatures)), -np.inf)
    for (name, column), blocks in zip(_BORDERS.items(), drawn, strict=True):
        error = noise(table, column)
        known = ~left_out(table) & table[column].notna().to_numpy()
        if not known.any():
            break
        exact = np.isnan(error[known]).all()
        known &= exact | ~np.isnan(error)
        fields = np.full((1 + BAND_DRAWS, len(temperatures), len(loads)), np.nan)
        fields[(slice(None), *at)] = np.where(known, np.concatenate([[table[column].to_numpy(float)], *blocks]), np.nan)
        weights = np.ones(fields.shape[1:])
        weights[at] = np.fmax(error, _LEAST_NOISE) ** -2
        if column == "lmc":
            fields -= thresholds.lmc
        else:
            fields -= np.swapaxes(least_similar(np.swapaxes(fields, 1, 2), thresholds), 1, 2)
        fits = np.where(np.isnan(found := _monotone(fields, logs, weights)), np.nan, np.fmax(found, fits))
        inside = (fits[0] > logs[0] + _ROUNDING) & (fits[0] < logs[-1] - _ROUNDING)
        band = np.full((2, len(temperatures)), np.nan) if exact else np.percentile(fits[1:], BAND, axis=0)
        lines = np.exp([np.where(inside, fits[0], np.nan), *band])
        borders.append(SmoothBorder(name, *(tuple(line.tolist()) for line in lines)))
    return tuple(borders)


def _monotone(fields: Array, logs: Array, weights: Array) -> Array:
    """Monotone crossings of zero, the first of the means, the others of the draws.

    Args:
        fields: Of shape (1 + draws, temperatures, loads).
        logs: Logarithms of the loads.
        weights: Of shape (temperatures, loads).

    Returns:
        In logarithms of the load, of shape (1 + draws, temperatures).
    """
    rows = range(len(weights))
    found = np.array([[crossing(field[row], logs, 0.0, weights[row]) for row in rows] for field in fields])
    of_grid = np.ptp(logs) / max(len(logs) - 1, 1)
    of_rows = 1 / (found[1:].var(axis=0) + max(of_grid, _ROUNDING) ** 2 / 12)
    return np.array([monotone(positions, of_rows) for positions in found])
