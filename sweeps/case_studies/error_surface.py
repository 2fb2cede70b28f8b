"""Errors over temperature and load as they are without noise: what is measured, weighed against the paper's picture."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sweeps.case_studies.boundary import Row

TILT = 0.08
"""By how much of itself the error is expected to rise from the border of Regime I to the other end of the temperatures,
in proportion to the distance: the best temperature is the coldest that is connected (Zhou et al. 2023, Algorithm 1;
that it is so much is ours)."""

SPREAD = 0.2
"""Standard deviation of the error around that, as a share of the load's mean error."""

TEMPERATURE_LENGTH = 0.5
"""Distance of temperatures, as a share of the list, at which errors have a correlation of 1 / e."""

LOAD_LENGTH = 3.0
"""The same of loads, in natural logarithms: densities that differ by a factor of twenty."""

DENSE_SEEDS = 1.5
"""Variance of a mean over dense seeds, over what the scatter of all siblings says as if they were independent: measured
on digits, 1.3 to 1.7 at densities from 0.05 to 0.4 (``tests/benchmarks/validation_noise.py``), and assumed
everywhere."""

SHARED_IMAGES = 0.02
"""Share of the binomial variance of a validation error that the choice of images adds to a difference between two
temperatures, beside what is in the scatter of siblings already. The same images are held out for all, and are hard for
all: measured 0.01, at densities 0.2 and 0.4 up to 0.08, on digits (ibid.), and assumed everywhere."""

ONE_MODEL = 0.64
"""The same of a single model, whose scatter is not known; of a mean over several models by their number (ibid.)."""

_ANY_LEVEL = 4.0
"""Prior variance of each load's own level, as a share of its mean: so wide that only differences count."""

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class ErrorSurface:
    """Errors of cells without noise, by all that is known: a normal distribution.

    Attributes:
        mean: Of each cell, as a share of its load's mean error, shape (cells,); negative where errors are.
        covariance: Of the same, shape (cells, cells).
        scale: The size of that mean error, of each cell, shape (cells,); 1 where it is 0.
    """

    mean: Array
    covariance: Array
    scale: Array

    def deviation(self, own: int, other: int) -> float:
        """Standard deviation of the difference of two cells' errors, in the same shares."""
        both = [own, other]
        ((a, c), (_, b)) = self.covariance[np.ix_(both, both)]
        return float(np.sqrt(max(a + b - 2 * c, 0.0)))


def error_surface(places: Array, loads: Array, errors: Array, noise: Array, from_border: Array) -> ErrorSurface:
    """Weigh errors that were measured by their noise.

    A Gaussian process over temperature and load (exponential covariances: neighbours are alike), with a free level for
    each load and a mean that rises by :data:`TILT` with the distance from the border; the noise is that of each cell.
    An error without noise stays what it is. Of scores that are the better the higher, as BLEU, the negatives are such
    errors: they fall by as much of themselves. Our interpretation.

    Args:
        places: Of each cell's temperature in the list, from 0 (hottest) to 1, shape (cells,).
        loads: Of each cell, positive.
        errors: That were measured, in any unit; of a load all of them have one sign.
        noise: Their standard errors, 0 for exact.
        from_border: Expected distance of each cell's temperature from the coldest that is connected, in [0, 1].
    """
    same_load = loads[:, None] == loads
    level = (same_load @ errors) / same_load.sum(axis=1)
    scale = np.where(level != 0, np.abs(level), 1.0)
    usual = np.where(level < 0, -1.0, 1.0)
    expected = TILT * from_border
    apart = np.abs(places[:, None] - places) / TEMPERATURE_LENGTH
    apart += np.abs(np.log(loads[:, None] / loads)) / LOAD_LENGTH
    prior = SPREAD**2 * np.exp(-apart) + _ANY_LEVEL * same_load
    weights = np.linalg.solve(prior + np.diag((noise / scale) ** 2), prior).T
    mean = expected + usual + weights @ (errors / scale - usual - expected)
    exact = noise == 0
    mean[exact] = errors[exact] / scale[exact]
    covariance = prior - weights @ prior
    covariance[exact] = covariance[:, exact] = 0.0
    return ErrorSurface(mean, covariance, scale)


def error_noise(rows: Sequence[Row], column: str) -> Array:
    """Standard errors of cells' mean errors, as far as they count where temperatures are compared.

    - Of what this project measured (its dense seeds are counted): the scatter of siblings, pooled over these cells as a
      share of the error, since a few siblings tell it badly; times :data:`DENSE_SEEDS`. For validation errors,
      :data:`SHARED_IMAGES` on top. Without any scatter, as in the next but one.
    - In a table of one's own, the column ``..._se`` as it is.
    - Without it, for a validation error whose images are counted, :data:`ONE_MODEL` over the number of models.
    - Else errors count as exact.

    Args:
        rows: In columns of the phase table, of which ``n_runs``, ``n_dense_seeds``, ``validation_images`` and the
            error's are looked at.
        column: Name of the error.

    Returns:
        Of shape (cells,), in the unit of the error.
    """
    errors, own, runs, dense, images = (
        np.array([row.get(name, np.nan) for row in rows], dtype=float)
        for name in (column, f"{column}_se", "n_runs", "n_dense_seeds", "validation_images")
    )
    runs = np.fmax(np.nan_to_num(runs, nan=1.0), 1)
    likely = np.clip(errors, 0.5 / images, 1 - 0.5 / images)  # none wrong of some images is not none of all
    binomial = np.nan_to_num(likely * (1 - likely) / images) if column == "validation_error" else np.zeros(len(rows))
    known, ours = np.isfinite(own), np.isfinite(dense)
    variance = np.where(known & ~ours, np.nan_to_num(own) ** 2, (SHARED_IMAGES + ONE_MODEL / runs) * binomial)
    pooled = known & ours & (runs > 1) & (errors > 0)
    if pooled.any():
        freedom = np.where(pooled, runs - 1, 0)
        relative = np.divide(own**2 * runs, errors**2, out=np.zeros(len(rows)), where=pooled)
        scatter = (freedom @ relative) / freedom.sum() * np.fmax(errors, np.nan_to_num(0.5 / images)) ** 2 / runs
        variance = np.where(ours, DENSE_SEEDS * scatter + SHARED_IMAGES * binomial, variance)
    return np.asarray(np.sqrt(variance))
