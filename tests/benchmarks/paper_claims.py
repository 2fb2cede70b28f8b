"""What a grid shows of the paper's claims: ``python tests/benchmarks/paper_claims.py RESULTS``. Asserts nothing.

RESULTS is the folder of a complete grid with several dense seeds. What is independent here are the dense seeds: every
number is computed of each of them by itself, over its siblings, and given as the mean over the dense seeds with a 95 %
interval of Student's t. For every load: the mean over all temperatures, and the trend from hot to cold, which is the
slope of a straight line over the order of the temperatures, from 0 for the hottest to 1 for the coldest. Then, over all
ways to part the dense seeds into two halves, how often the halves agree about a cell's regime.
"""

import sys
from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from metrics.regimes import possible_regimes
from sweeps.results.phase import phase_table
from sweeps.results.phase_schema import P_REGIMES
from sweeps.results.recorded import open_recorded
from sweeps.results.store import Store
from sweeps.spec.spec import SweepSpec

MEASURES = ("lmc", "cka", "test_error")


def table_of(store: Store, spec: SweepSpec, seeds: Sequence[int]) -> pd.DataFrame:
    """Phase table of some dense seeds, the hottest temperature first at each load."""
    own = replace(spec, dense_seeds=tuple(seeds))
    table = phase_table(own.points(), store, spec.thresholds, spec.measurement)
    return table.sort_values(["load", "temperature"], ascending=[True, spec.hot_is_low], ignore_index=True)


def said(values: npt.ArrayLike) -> str:
    """Mean of one number for each dense seed, and its 95 % interval."""
    each = np.asarray(values, dtype=float)
    margin = stats.t.ppf(0.975, len(each) - 1) * each.std(ddof=1) / len(each) ** 0.5
    return f"{each.mean():.4f} ({each.mean() - margin:.4f} to {each.mean() + margin:.4f})"


def trends(tables: Sequence[pd.DataFrame], spec: SweepSpec) -> pd.DataFrame:
    """Means and trends of every measure at every load."""
    order = np.linspace(0, 1, len(spec.temperatures))
    rows = []
    for name in MEASURES:
        values = np.stack([table[name].to_numpy().reshape(len(spec.loads), -1) for table in tables])
        for load, of_load in zip(sorted(spec.loads), np.moveaxis(values, 1, 0), strict=True):
            slopes = np.polyfit(order, of_load.T, 1)[0]
            ends = of_load[:, -1] - of_load[:, 0]
            rows.append((name, load, said(of_load.mean(1)), said(slopes), said(ends)))
    names = ["measure", spec.load, "mean of all temperatures", "trend from hot to cold", "coldest minus hottest"]
    return pd.DataFrame(rows, columns=names)


def agreement(store: Store, spec: SweepSpec) -> pd.DataFrame:
    """How often two disjoint halves of the dense seeds give a cell the same regime, by how sure they are of it."""
    seeds = spec.dense_seeds
    counts = dict.fromkeys(("all cells", "sure in one half at least", "sure in both"), (0, 0))
    for half in combinations(seeds, len(seeds) // 2):
        other = [seed for seed in seeds if seed not in half][: len(half)]
        if seeds[0] not in half:
            continue  # the same two halves
        tables = [table_of(store, spec, some) for some in (half, other)]
        same = (tables[0]["regime"] == tables[1]["regime"]).to_numpy()
        first, second = (
            np.array([len(possible_regimes(*row)) == 1 for row in table[[*P_REGIMES]].to_numpy()]) for table in tables
        )
        for name, among in (
            ("all cells", first | True),
            ("sure in one half at least", first | second),
            ("sure in both", first & second),
        ):
            agree, cells = counts[name]
            counts[name] = (agree + int(same[among].sum()), cells + int(among.sum()))
    rows = [(name, cells, agree, agree / cells if cells else float("nan")) for name, (agree, cells) in counts.items()]
    return pd.DataFrame(rows, columns=["cells of all pairs of halves", "cells", "agree", "share"])


def main() -> None:
    """Print both tables."""
    past = open_recorded(sys.argv[1], None)
    assert past.store is not None, "name the folder of a grid"
    spec, store = past.spec, past.store
    tables = [table_of(store, spec, [seed]) for seed in spec.dense_seeds]
    print(f"{spec.title}; {len(tables)} dense seeds, {len(spec.retrain_seeds)} siblings of each model")
    print(trends(tables, spec).to_string(index=False))
    print(agreement(store, spec).round(3).to_string(index=False))


if __name__ == "__main__":
    main()
