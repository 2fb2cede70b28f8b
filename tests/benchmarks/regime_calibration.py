"""Whether the probabilities of regimes hold: ``python tests/benchmarks/regime_calibration.py RESULTS ...``.

Wants folders with many dense seeds, 8 say (``sweeps/grid.py --dense-seeds 1 2 3 4 5 6 7 8``). Of each subset of 1, 2, 3
and 4 of them (``--seeds``) the probabilities are told, and compared with the regime of the mean over all others. That
is not the truth either: so "ours" has its standard errors widened to those of the difference of the two means, by
sqrt(1 + n / m) for n seeds and m others. "of many seeds" is what the phase table says; "bootstrap" resamples the means
of the dense seeds, in all n**n ways, and is neither widened nor does it know of siblings.

Subsets share seeds and cells share dense models, so that a row has fewer independent cases than predictions. Intervals
of differences between Brier scores are of a bootstrap over the cells, 95 %.

Of folders and of tables (``tests/sweeps/recorded/*.csv``) what :mod:`sweeps.results.probabilities` has its numbers from
is printed, too: how many times the variance of a mean over dense seeds is that of siblings alone, with its 95 %
interval, by maximum likelihood; how many degrees of freedom this ratio has at least; LMC's and CKA's correlation.
"""

import argparse
import os
from collections.abc import Iterator, Sequence
from itertools import combinations, product

import numpy as np
import numpy.typing as npt
import pandas as pd
from comparisons import complete_grid, interval
from scipy.stats import chi2
from scipy.stats import f as fisher

from metrics.regimes import REGIMES, SURE, regime_numbers
from sweeps.results.phase import phase_table, resolved, with_regimes
from sweeps.results.phase_schema import P_REGIMES
from sweeps.results.probabilities import DENSE_NOISE
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
        whole = phase_table(self.points, store, self.spec.thresholds, self.spec.measurement)
        self.thresholds = resolved(self.spec.thresholds, whole)
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


def predictions(results: Results, size: int, most: int) -> Iterator[pd.DataFrame]:
    """What each way of telling says of each cell from each subset, and what the others say."""
    subsets = list(combinations(results.seeds, size))
    random = np.random.default_rng(1)
    for place in random.permutation(len(subsets))[:most]:
        seeds = subsets[place]
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


def noise(name: str, table: pd.DataFrame, column: str) -> list[object]:
    """A row on the ratio of the variances, which is a scaled F: its most likely value, and what is nearly as likely."""
    used = table[(table[f"{column}_se"] > LEAST_ERROR[column]) & (table[f"{column}_se_dense"] > 0)]
    ratios = (used[f"{column}_se_dense"] / used[f"{column}_se"]) ** 2
    between, within = used["n_dense_seeds"] - 1, used["n_runs"] - used["n_dense_seeds"]
    logs = np.linspace(-2, 4, 301)
    freedoms = [*range(1, 33), 1e9]
    likely = np.array(
        [
            [(fisher.logpdf(ratios / np.exp(log), between, 1 / (1 / within + 1 / each)) - log).sum() for log in logs]
            for each in freedoms
        ]
    )
    near = likely > likely.max() - chi2.ppf(0.95, 1) / 2
    inside = np.exp(logs[near.any(axis=0)])
    least = np.array(freedoms)[near.any(axis=1)].min()
    return [name, column, len(used), np.exp(logs[likely.max(axis=0).argmax()]), inside[0], inside[-1], least]


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
    parser.add_argument("--subsets", type=int, default=100, help="most subsets of a size, chosen at random but seeded")
    options = parser.parse_args()
    tables = {path: complete_grid(path)[1] for path in options.results}
    tables["all"] = pd.concat(tables.values())
    known = [(name, table, each) for each in DENSE_NOISE for name, table in tables.items() if f"{each}_se" in table]
    names = ["results", "of", "cells", "ratio", "from", "to", "freedom at least"]
    print(pd.DataFrame([noise(*one) for one in known], columns=names).round(2).to_string(index=False))
    for folder in filter(os.path.isdir, options.results):
        results = Results(folder)
        print(f"correlation of LMC and CKA over dense seeds: {correlation(results):.2f}")
        sizes = [size for size in options.seeds if size < len(results.seeds)]
        told = pd.concat([frame for size in sizes for frame in predictions(results, size, options.subsets)])
        print(reliability(told).to_string())
        print(brier(told).to_string(index=False))
        sure = told[told["way"] != "bootstrap"].groupby(["seeds", "way"])["p"]
        print(sure.agg(sure=lambda p: (p >= SURE).mean()).round(3).to_string())


if __name__ == "__main__":
    main()
