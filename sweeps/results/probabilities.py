"""How sure the regimes of a phase table are: probabilities, from leaving out siblings and dense seeds."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pandas as pd

from metrics.regimes import REGIMES, Thresholds, regime_numbers

DENSE_NOISE = {"lmc": 2.5, "cka": 3.0}
"""Variance of a mean over dense seeds, over that from the noise of their siblings alone, by column.

Siblings say how large the noise of a cell is, which differs by orders of magnitude between cells; this says how much
larger it is with what dense seeds differ in. TODO measured.
"""

PRIOR_FREEDOM = 8.0
"""How well these ratios hold in each cell, in degrees of freedom of chi-squared. TODO measured."""

CORRELATION = 0.5
"""Of LMC and CKA of a cell: dense seeds with the deeper barrier are less similar. TODO measured."""

DRAWS = 2003
"""Of each cell; a prime number, see :func:`draws`."""

BLOCK = 100
"""Draws at a time, so that 100,000 cells need some hundred megabytes."""

_LIMITS: dict[str, tuple[float, float]] = {"lmc": (-1.0, 1.0), "cka": (0.0, 1.0)}

Array = npt.NDArray[np.float64]


def noise(table: pd.DataFrame, column: str) -> Array:
    """Standard errors of cells' means, as estimates of means over many dense seeds."""
    return _noise(table, column)[0]


def draws(table: pd.DataFrame) -> Iterator[tuple[Array, Array]]:
    """LMC and CKA of cells as they could be.

    Args:
        table: In columns of :data:`~sweeps.results.schema.PHASE`.

    Yields:
        Blocks of draws of LMC and of CKA, each of shape (at most :data:`BLOCK`, cells), :data:`DRAWS` in all; the means
        themselves where their noise is not known.
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
        table: In columns of :data:`~sweeps.results.schema.PHASE`; LMC and CKA are NaN of cells that do not count.
        thresholds: Boundaries of the regimes.

    Returns:
        Of shape (3, cells), in the order of :data:`~metrics.regimes.REGIMES`, in [0, 1], with the sum 1. NaN where LMC
        or its noise is not known; of both Regimes II also where CKA or its noise is not.
    """
    together = list(table.groupby("load").indices.values())
    if thresholds.rule == "fixed":
        together = [np.arange(len(table))]  # in one piece: of many loads it is faster
    counts = np.zeros((len(REGIMES), len(table)))
    for lmcs, ckas in draws(table):
        for cells in together:
            numbers = regime_numbers(lmcs[:, cells], ckas[:, cells], thresholds)
            for place in range(len(REGIMES)):
                counts[place, cells] += np.count_nonzero(numbers == place, axis=0)
    probabilities = counts / DRAWS
    unknown_lmc, unknown_cka = (table[name].isna() | np.isnan(noise(table, name)) for name in _LIMITS)
    probabilities[:, unknown_lmc] = np.nan
    probabilities[1:, unknown_cka] = np.nan
    return probabilities


def _noise(table: pd.DataFrame, column: str) -> tuple[Array, Array]:
    """Standard errors of cells' means, NaN if not known, and their degrees of freedom."""
    n_dense = table["n_dense_seeds"].to_numpy(float)
    siblings, dense = (table[f"{column}_{name}"].to_numpy(float) ** 2 for name in ("se", "se_dense"))
    between = np.where(np.isnan(dense), 0, np.fmax(n_dense - 1, 0))
    within = table["n_runs"].to_numpy(float) - n_dense
    within = np.where(np.isnan(siblings) | ~(within > 0), 0, 1 / (1 / np.fmax(within, 1) + 1 / PRIOR_FREEDOM))
    sums = between * np.nan_to_num(dense) + within * DENSE_NOISE[column] * np.nan_to_num(siblings)
    total = between + within
    variance = np.divide(sums, total, out=np.full(len(table), np.nan), where=total > 0)
    rows = table.get("n_rows", pd.Series(1, table.index)).to_numpy(float)
    own = np.isnan(n_dense) | (rows > 1)
    error = np.sqrt(np.where(own, siblings, variance))
    error[np.isinf(error)] = np.nan
    return error, np.where(own, np.where(rows > 1, rows - 1, np.inf), total)
