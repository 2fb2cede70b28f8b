"""How sure the regimes of a phase table are: probabilities of what the mean over many dense seeds and siblings is in.

The standard errors of the table come from leaving out one sibling, or one dense seed, at a time. Here they are put
together, and as many draws of LMC and CKA as :data:`DRAWS` are made around each cell's means. A bootstrap of two or
three dense seeds would be far too sure: it knows only as many values, and has half or two thirds of their variance.
All of this is our interpretation; ``tests/benchmarks/regime_calibration.py`` says whether it holds.
"""

from collections.abc import Iterator, Mapping

import numpy as np
import numpy.typing as npt
import pandas as pd

from metrics.regimes import REGIMES, Thresholds, regime_numbers

DENSE_NOISE = {"lmc": 2.5, "cka": 3.0}
"""Variance of a mean over dense seeds, over that from the noise of their siblings alone, by column.

Noise differs by orders of magnitude between cells, and a cell's siblings tell how large it is there; this says how much
more there is between dense seeds. Measured, and assumed everywhere: 2.6 for LMC, with a 95 % interval from 2.0 to 3.3,
of 153 cells of digits (batch size and epochs) and Fashion-MNIST (batch size, epochs, rho), and 3.5, from 2.6 to 4.6,
for CKA, of 86 cells of digits on the batch size axis. A grid of digits with 8 dense seeds that had no part in it has
1.9, from 1.2 to 2.9, and 2.1, from 1.4 to 3.1. The grids alone are compatible with it but one: digits on the epochs
axis has 0.4, from 0.2 to 1.3, so that probabilities are too cautious there.
"""

PRIOR_FREEDOM = 4.0
"""How well that ratio holds in each cell, in degrees of freedom of chi-squared; infinitely many: exactly.

The same grids say 13 or more for LMC, 9 or more for CKA. Taken are fewer, since LMC is skewed: of some cells one dense
seed in four has a barrier several times as deep, of which the others and their siblings know nothing.
"""

CORRELATION = 0.5
"""Of LMC and CKA over the dense seeds of a cell, measured on digits: 0.33, 0.50, 0.51 and 0.53 in four grids."""

DRAWS = 2003
"""Of each cell; prime, so that each step through them from any start meets all."""

BLOCK = 100
"""Draws at a time, so that 100,000 cells need some hundred megabytes."""

_LIMITS: dict[str, tuple[float, float]] = {"lmc": (-1.0, 1.0), "cka": (0.0, 1.0)}

Array = npt.NDArray[np.float64]
Columns = pd.DataFrame | Mapping[str, Array]


def noise(table: pd.DataFrame, column: str) -> Array:
    """Standard errors of cells' means of LMC or CKA, as estimates of the mean over many dense seeds and siblings.

    Two estimates of the variance are averaged: that over the means of the dense seeds, and that of the siblings times
    :data:`DENSE_NOISE`, weighted by their degrees of freedom. Those of the first are n - 1 for n dense seeds, those of
    the second 1 / (1 / m + 1 / :data:`PRIOR_FREEDOM`) with m = siblings - n, as variances of logarithms add up. A
    single dense seed has the second alone: what dense seeds differ in is then what they differed in elsewhere. Without
    siblings' noise, as of 2 siblings each, there is the first alone.

    Of a table that does not count its dense seeds the standard error is its own, and taken as exact; computed from n
    rows of the cell it has n - 1 degrees of freedom.

    Args:
        table: In columns of :data:`~sweeps.results.phase_schema.PHASE`, and, of a user's table, ``n_rows``.
        column: ``lmc`` or ``cka``.

    Returns:
        In the unit of the column, by cell; NaN where neither is known.
    """
    return _noise(table, column)[0]


def draws(table: pd.DataFrame) -> Iterator[tuple[Array, Array]]:
    """LMC and CKA of cells as their means over many dense seeds and siblings may be.

    Student's t around each mean, with the standard error and the degrees of freedom of :func:`noise`, correlated
    between LMC and CKA. The quantiles are evenly spaced, so that each column alone is exact to a draw, and in one
    seeded order for all cells, from which each cell takes them with its own start and step: cells are independent.
    Those of one dense model are not quite (correlations of 0 to 0.25 between the digits' cells); that is neglected.

    Args:
        table: In columns of :data:`~sweeps.results.phase_schema.PHASE`.

    Yields:
        Blocks of draws of LMC and of CKA, each of shape (at most :data:`BLOCK`, cells), :data:`DRAWS` in all, clipped
        to the ranges of the two; the means themselves where their noise is not known.
    """
    from scipy.special import ndtri, stdtrit  # half a second

    random = np.random.default_rng(0)
    normal = random.standard_normal((2, DRAWS))
    normal[1] = CORRELATION * normal[0] + np.sqrt(1 - CORRELATION**2) * normal[1]
    quantiles = (normal.argsort(axis=1).argsort(axis=1) + 0.5) / DRAWS
    steps, starts = random.integers(1, DRAWS, len(table)), random.integers(0, DRAWS, len(table))
    of_columns = []
    for column, ranks in zip(_LIMITS, quantiles, strict=True):
        error, freedom = _noise(table, column)
        kinds, kind = np.unique(np.where(np.isnan(error), np.inf, freedom), return_inverse=True)
        scores = np.stack([ndtri(ranks) if np.isinf(one) else stdtrit(one, ranks) for one in kinds])
        of_columns.append((table[column].to_numpy(float), np.nan_to_num(error), scores, kind, _LIMITS[column]))
    for first in range(0, DRAWS, BLOCK):
        places = (np.arange(first, min(first + BLOCK, DRAWS))[:, None] * steps + starts) % DRAWS
        lmc, cka = (
            np.clip(mean + error * scores[kind, places], *limits) for mean, error, scores, kind, limits in of_columns
        )
        yield lmc, cka


def regime_probabilities(table: pd.DataFrame, thresholds: Thresholds) -> Array:
    """Probabilities of the regimes of cells, counted in :func:`draws`.

    With ``cka_rule="relative"`` the best CKA of a load is that of each draw. With a fixed rule the probabilities of a
    cell depend on no other cell.

    Args:
        table: In columns of :data:`~sweeps.results.phase_schema.PHASE`; LMC and CKA are NaN of cells that do not count.
        thresholds: Boundaries of the regimes.

    Returns:
        Of shape (3, cells), in the order of :data:`~metrics.regimes.REGIMES`, in [0, 1], with the sum 1. NaN where LMC
        or its noise is not known; of both Regimes II also where CKA or its noise is not.
    """
    together = list(table.groupby("load").indices.values())
    if thresholds.rule == "fixed":
        together = [np.arange(len(table))]  # in one piece: of many loads it is faster
    unknown_lmc, unknown_cka = (table[name].isna() | np.isnan(noise(table, name)) for name in _LIMITS)
    counts = np.zeros((len(REGIMES), len(table)))
    for lmcs, ckas in () if unknown_lmc.all() else draws(table):
        for cells in together:
            numbers = regime_numbers(lmcs[:, cells], ckas[:, cells], thresholds)
            for place in range(len(REGIMES)):
                counts[place, cells] += np.count_nonzero(numbers == place, axis=0)
    probabilities = counts / DRAWS
    probabilities[:, unknown_lmc] = np.nan
    probabilities[1:, unknown_cka] = np.nan
    return probabilities


def connected_probabilities(table: Columns, threshold: float) -> Array:
    """Probabilities that the mean LMC over many dense seeds and siblings is not below its threshold: 1 - p_regime_1.

    Exact, where :func:`regime_probabilities` counts draws.

    Args:
        table: Columns ``lmc``, ``lmc_se``, ``lmc_se_dense``, ``n_runs`` and ``n_dense_seeds``, and, of a user's table,
            ``n_rows``; a table, or arrays by name.
        threshold: In units of error.

    Returns:
        By cell; NaN where LMC or its noise is not known.
    """
    from scipy.special import ndtr, stdtr  # half a second

    error, freedom = _noise(table, "lmc")
    above = np.asarray(table["lmc"], dtype=float) - threshold
    with np.errstate(divide="ignore", invalid="ignore"):
        scores = np.where((error == 0) & (above == 0), np.inf, above / error)
        return np.where(np.isinf(freedom), ndtr(scores), stdtr(np.fmax(freedom, 1e-3), scores))


def _noise(table: Columns, column: str) -> tuple[Array, Array]:
    """Standard errors of cells' means, NaN if not known, and their degrees of freedom."""
    n_dense, n_runs = (np.asarray(table[name], dtype=float) for name in ("n_dense_seeds", "n_runs"))
    siblings, dense = (np.asarray(table[f"{column}_{name}"], dtype=float) ** 2 for name in ("se", "se_dense"))
    rows = np.asarray(table["n_rows"], dtype=float) if "n_rows" in table else np.ones(len(n_dense))
    between = np.where(np.isnan(dense), 0, np.fmax(n_dense - 1, 0))
    within = n_runs - n_dense
    within = np.where(np.isnan(siblings) | ~(within > 0), 0, 1 / (1 / np.fmax(within, 1) + 1 / PRIOR_FREEDOM))
    sums = between * np.nan_to_num(dense) + within * DENSE_NOISE[column] * np.nan_to_num(siblings)
    total = between + within
    variance = np.divide(sums, total, out=np.full(len(n_dense), np.nan), where=total > 0)
    own = np.isnan(n_dense) | (rows > 1)
    error = np.sqrt(np.where(own, siblings, variance))
    error[np.isinf(error)] = np.nan
    return error, np.where(own, np.where(rows > 1, rows - 1, np.inf), total)
