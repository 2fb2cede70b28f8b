"""How much of LMC's and CKA's noise is the pairs' own: ``python tests/benchmarks/sibling_noise.py RESULTS ...``.

Wants results with at least 4 siblings of each dense model (``sweeps/grid.py --retrain-seeds 1 2 3 4 5 6``); it is where
``sweeps/results/pair_noise.py`` has its numbers from. Pairs of the n siblings of a model are taken for
mu + a_i + a_j + e_ij. Fitted by least squares, the siblings' mean square (n - 2) sum a_i^2 / (n - 1) has the
expectation E + (n - 2) A, the residuals' E, with n - 1 and n (n - 3) / 2 degrees of freedom. The scale of the noise
differs by orders of magnitude
between cells, their quotient F does not depend on it: so E / A is told from the median of F over all models, by how
many times it is that of Fisher's F without siblings' noise. Intervals: bootstrap over the models, 95 %.
"""

import sys
from itertools import combinations

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.stats import f as fisher

from sweeps.results.pair_noise import PAIR_NOISE
from sweeps.results.store import Store

RESAMPLES = 10_000
SIMULATED = 10_000
"""Models made up to check the estimate."""


def quotient(values: npt.NDArray[np.float64]) -> float:
    """Mean square of the siblings over that of the residuals.

    Args:
        values: Of the pairs of n siblings, a symmetric matrix of shape (n, n) with NaN on its diagonal.
    """
    count = len(values)
    sums = np.nansum(values, 1)
    effects = (sums - sums.mean()) / (count - 2)
    residuals = values - np.nanmean(values) - effects[:, None] - effects
    residual = np.nansum(residuals**2) / 2 / (count * (count - 3) / 2)
    return float((count - 2) * np.sum(effects**2) / (count - 1) / residual)


def siblings_share(quotients: npt.NDArray[np.float64], count: int) -> float:
    """A / E from the quotients of models of so many siblings; negative where noise makes it so."""
    alone = fisher.median(count - 1, count * (count - 3) / 2)
    return float((np.median(quotients) / alone - 1) / (count - 2))


def matrix(pairs: pd.DataFrame, column: str) -> npt.NDArray[np.float64]:
    """Values of the pairs of one model."""
    seeds = sorted({*pairs["first_seed"], *pairs["second_seed"]})
    ends = (pairs["first_seed"].map(seeds.index), pairs["second_seed"].map(seeds.index))
    values = np.full((len(seeds), len(seeds)), np.nan)
    values[ends] = values[ends[::-1]] = pairs[column]
    return values


def simulated(count: int, ratio: float) -> npt.NDArray[np.float64]:
    """Quotients of models whose E / A is known."""
    random = np.random.default_rng(1)
    quotients = []
    for _ in range(SIMULATED):
        noise = random.standard_normal(count)
        values = np.full((count, count), np.nan)
        for first, second in combinations(range(count), 2):
            own = np.sqrt(ratio) * random.standard_normal()
            values[first, second] = values[second, first] = noise[first] + noise[second] + own
        quotients.append(quotient(values))
    return np.array(quotients)


def row(name: str, quotients: npt.NDArray[np.float64], count: int) -> list[object]:
    """A row of the table: E / A, and its interval."""
    random = np.random.default_rng(1)
    shares = [siblings_share(random.choice(quotients, len(quotients)), count) for _ in range(RESAMPLES)]
    low, high = np.percentile(shares, [2.5, 97.5])
    return [name, len(quotients), *(1 / max(share, 0) for share in (siblings_share(quotients, count), high, low))]


def main() -> None:
    """Print the table."""
    rows = []
    for folder in sys.argv[1:]:
        pairs = pd.DataFrame(Store(folder).rows("pairs"))
        models = [some for _, some in pairs[pairs["status"] == "ok"].groupby("point")]
        for column, assumed in PAIR_NOISE.items():
            matrices = [matrix(some, column) for some in models]
            count = max(map(len, matrices))
            whole = [np.isfinite(each).sum() == count * (count - 1) for each in matrices]
            quotients = np.array([quotient(each) for each, use in zip(matrices, whole, strict=True) if use])
            loads = np.array([some["load"].iloc[0] for some, use in zip(models, whole, strict=True) if use])
            rows.append(row(f"{folder}, {column}", quotients, count))
            rows += [row(f"  load {load:g}", quotients[loads == load], count) for load in sorted(set(loads))]
            rows.append(row(f"  simulated with {assumed:g}", simulated(count, assumed), count))
    table = pd.DataFrame(rows, columns=["of", "models", "E / A", "from", "to"])
    print(table.round(2).to_string(index=False))


if __name__ == "__main__":
    main()
