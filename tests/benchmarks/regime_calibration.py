"""Whether the probabilities of regimes hold: ``python tests/benchmarks/regime_calibration.py RESULTS ...``.

Wants results with many dense seeds, 8 say (``sweeps/grid.py --dense-seeds 1 2 3 4 5 6 7 8``). Of each subset of 1, 2, 3
and 4 of them (``--seeds``) the probabilities are told, and compared with the regime of the mean over all others. That is
not the truth either: so "ours" has its standard errors widened to those of the difference of the two means, by
sqrt(1 + n / m) for n seeds and m others. "of many seeds" is what the phase table says; "bootstrap" resamples the means
of the dense seeds, in all n**n ways, and is neither widened nor does it know of siblings.

Subsets share seeds and cells share dense models, so that a row has fewer independent cases than predictions. Intervals
of differences between Brier scores are of a bootstrap over the cells, 95 %.

What :mod:`sweeps.results.probabilities` has its numbers from is printed, too: how many times the variance of a mean
over dense seeds is that of siblings alone, by maximum likelihood, and LMC's and CKA's correlation over dense seeds.
"""

import argparse
from collections.abc import Iterator, Sequence
from itertools import combinations, product

import numpy as np
import numpy.typing as npt
import pandas as pd
from comparisons import interval
from scipy.optimize import minimize
from scipy.stats import f as fisher

from metrics.regimes import REGIMES, Thresholds, regime_numbers
from sweeps.results.phase import phase_table, with_regimes
from sweeps.results.probabilities import DENSE_NOISE
from sweeps.results.schema import P_REGIMES
from sweeps.results.store import Store

BINS = (0.0, 0.5, 0.7, 0.9, 0.95, 1.0)
LEAST_ERROR = {"lmc": 2e-3, "cka": 3e-4}
"""Smaller standard errors over siblings are those of a few images."""

Array = npt.NDArray[np.float64]


class Results:
    """Phase tables of a folder's dense seeds."""

    def __init__(self, folder: str) -> None:
        store = Store(folder)
        self.spec = store.spec()
        self.points = store.with_added_siblings(self.spec.points())
        self.store = store
        self.seeds = sorted({stage.point.dense.seed for stage in self.points})
        alone = [self.table([seed]) for seed in self.seeds]
        there = [seed for seed, table in zip(self.seeds, alone, strict=True) if (table["status"] == "ok").all()]
        print(f"{folder}: dense seeds {there}" + f" of {self.seeds}, the others lack results" * (there != self.seeds))
        self.alone = {
            seed: table[["lmc", "cka"]].to_numpy()
            for seed, table in zip(self.seeds, alone, strict=True)
            if seed in there
        }
        self.seeds = there

    @property
    def thresholds(self) -> Thresholds:
        """Those of the sweep."""
        return self.spec.thresholds

    def table(self, seeds: Sequence[int]) -> pd.DataFrame:
        """Phase table of some dense seeds."""
        points = [stage for stage in self.points if stage.point.dense.seed in seeds]
        return phase_table(points, self.store, self.thresholds, self.spec.measurement)

    def bootstrap(self, seeds: Sequence[int]) -> Array:
        """Shares of the regimes in all resamples of the means of the dense seeds, of shape (cells, 3)."""
        means = np.stack([self.alone[seed] for seed in seeds])
        shares = np.zeros((means.shape[1], len(REGIMES)))
        loads = self.table(seeds[:1])["load"].to_numpy()
        resamples = list(product(range(len(seeds)), repeat=len(seeds)))
        for resample in resamples:
            mean = means[list(resample)].mean(axis=0)
            for load in set(loads):
                cells = loads == load
                shares[cells] += np.eye(len(REGIMES))[regime_numbers(*mean[cells].T, self.thresholds)]
        return shares / len(resamples)


def predictions(results: Results, size: int) -> Iterator[pd.DataFrame]:
    """What each way of telling says of each cell from each subset, and what the others say."""
    for seeds in combinations(results.seeds, size):
        others = [seed for seed in results.seeds if seed not in seeds]
        here, there = results.table(seeds), results.table(others)
        wider = np.sqrt(1 + size / len(others))
        errors = {name: here[name] * wider for name in ("lmc_se", "lmc_se_dense", "cka_se", "cka_se_dense")}
        told = {
            "ours": with_regimes(here.assign(**errors), results.thresholds)[[*P_REGIMES]].to_numpy(),
            "ours, of many seeds": here[[*P_REGIMES]].to_numpy(),
            "bootstrap": results.bootstrap(seeds),
        }
        came = np.eye(len(REGIMES))[[REGIMES.index(regime) for regime in there["regime"]]]
        for way, probabilities in told.items():
            best = probabilities.argmax(axis=1)
            yield pd.DataFrame(
                {
                    "seeds": size,
                    "way": way,
                    "cell": range(len(best)),
                    "p": probabilities.max(axis=1),
                    "came": came[range(len(best)), best],
                    "brier": ((probabilities - came) ** 2).sum(axis=1),
                }
            )


def reliability(told: pd.DataFrame) -> pd.DataFrame:
    """How often what was told with some probability came, by probability."""
    bins = pd.cut(told["p"], BINS, include_lowest=True).rename("told")
    rows = told.groupby(["seeds", "way", bins], observed=True)
    return rows.agg(predictions=("p", "size"), told_mean=("p", "mean"), came=("came", "mean")).round(3)


def brier(told: pd.DataFrame) -> pd.DataFrame:
    """Mean Brier scores, and how much lower than the bootstrap's."""
    rows = []
    for size, some in told.groupby("seeds"):
        cells = some.groupby(["cell", "way"])["brier"].mean().unstack()
        for way in cells:
            rows.append([size, way, cells[way].mean(), *interval(cells["bootstrap"] - cells[way])])
    return pd.DataFrame(rows, columns=["seeds", "way", "Brier", "lower by", "from", "to"]).round(3)


def noise(table: pd.DataFrame, column: str) -> list[object]:
    """Ratio of the variances by maximum likelihood: a scaled F; and prior freedom, the least that is likely, too."""
    used = table[(table[f"{column}_se"] > LEAST_ERROR[column]) & (table[f"{column}_se_dense"] > 0)]
    ratios = (used[f"{column}_se_dense"] / used[f"{column}_se"]) ** 2
    between, within = used["n_dense_seeds"] - 1, used["n_runs"] - used["n_dense_seeds"]

    def surprise(log_ratio: float, prior: float) -> float:
        ratio = np.exp(log_ratio)
        return float(-(fisher.logpdf(ratios / ratio, between, 1 / (1 / within + 1 / prior)) - log_ratio).sum())

    best = {
        prior: minimize(lambda log: surprise(log[0], prior), [0.5], method="Nelder-Mead")  # noqa: B023
        for prior in (1, 2, 4, 6, 8, 10, 12, 16, 24, 32, 64, 1e9)
    }
    prior = min(best, key=lambda each: best[each].fun)
    at = float(best[prior].x[0])
    grid = np.linspace(at - 2, at + 2, 401)
    inside = [np.exp(log) for log in grid if surprise(log, prior) < best[prior].fun + 1.92]
    likely = [each for each in best if best[each].fun < best[prior].fun + 1.92]
    return [column, len(used), np.exp(at), inside[0], inside[-1], prior, min(likely)]


def correlation(results: Results) -> float:
    """Mean over the cells of the correlation of LMC and CKA between dense seeds."""
    means = np.stack([results.alone[seed] for seed in results.seeds])
    apart = means - means.mean(axis=0)
    apart /= np.sqrt((apart**2).sum(axis=0))
    return float(np.nanmean((apart[..., 0] * apart[..., 1]).sum(axis=0)))


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", nargs="+")
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3, 4], help="sizes of the subsets")
    options = parser.parse_args()
    for folder in options.results:
        results = Results(folder)
        whole = results.table(results.seeds)
        rows = [noise(whole, column) for column in DENSE_NOISE]
        names = ["of", "cells", "ratio", "from", "to", "prior freedom", "at least"]
        print(pd.DataFrame(rows, columns=names).round(2).to_string(index=False))
        print(f"correlation of LMC and CKA between dense seeds: {correlation(results):.2f}")
        sizes = [size for size in options.seeds if size < len(results.seeds)]
        told = pd.concat([frame for size in sizes for frame in predictions(results, size)])
        print(reliability(told).to_string())
        print(brier(told).to_string(index=False))
        sure = told[told["way"] != "bootstrap"].groupby(["seeds", "way"])["p"]
        print(sure.agg(sure=lambda p: (p >= BINS[-2]).mean()).round(3).to_string())


if __name__ == "__main__":
    main()
